"""Generates the protobuf and gRPC stubs from `proto/`, for the builds and for `scripts/gen`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from google.api import annotations_pb2
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    struct_pb2,
    timestamp_pb2,
)
from protovalidate._gen.buf.validate import validate_pb

GENERATED = (
    "arenamesh/combat",
    "arenamesh/common",
    "arenamesh/events",
    "arenamesh/gamification",
    "arenamesh/liveops",
    "arenamesh/progression",
    "buf",
)
# Shown to Python programs as `buf.validate.validate_pb2`, which the stubs import.
VALIDATE = "buf/validate/validate.proto"


def generate(root: Path) -> None:
    """Writes the Python stubs to `clients/python`, and the image.

    Raises:
        subprocess.CalledProcessError: a proto file does not compile; protoc's message is on stderr.
    """
    describe(root)
    out = root / "clients" / "python"
    sources = _sources(root)
    for folder in GENERATED:
        shutil.rmtree(out / folder, ignore_errors=True)
    _protoc(root, [f"--python_out={out}", f"--pyi_out={out}", *sources, VALIDATE])
    services = [source for source in sources if "\nservice " in (root / "proto" / source).read_text()]
    _protoc(root, [f"--grpc_python_out={out}", f"--mypy_grpc_out={out}", *services])
    for folder in GENERATED:
        for directory in [out / folder, *(path for path in (out / folder).rglob("*") if path.is_dir())]:
            (directory / "__init__.py").touch()


def describe(root: Path) -> None:
    """Writes the descriptor image, `build/arenamesh.binpb`.

    It holds every file with its imports and comments: Envoy transcodes with it, buf lints it and compares it
    with an older one, and the TypeScript stubs are made from it.

    Raises:
        subprocess.CalledProcessError: as for `generate`.
    """
    validate = root / "build" / "validate.binpb"
    validate.parent.mkdir(exist_ok=True)
    validate.write_bytes(_validate_descriptors())
    _protoc(
        root,
        [
            f"--descriptor_set_out={root / 'build' / 'arenamesh.binpb'}",
            "--include_imports",
            "--include_source_info",
            *_sources(root),
            # Envoy must know the types that travel in error details.
            "google/rpc/error_details.proto",
        ],
    )


def _sources(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root / "proto")) for path in (root / "proto").rglob("*.proto"))


def _protoc(root: Path, arguments: list[str]) -> None:
    # Found by import and by PATH: an isolated build keeps neither beside its interpreter.
    googleapis = Path(annotations_pb2.__file__).parents[2]
    scripts = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    plugin = shutil.which("protoc-gen-mypy_grpc", path=scripts)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"--proto_path={root / 'proto'}",
            f"--proto_path={googleapis}",
            f"--descriptor_set_in={root / 'build' / 'validate.binpb'}",
            f"--plugin=protoc-gen-mypy_grpc={plugin}",
            *arguments,
        ],
        check=True,
    )


def _validate_descriptors() -> bytes:
    """The field rules' own schema, which the protovalidate wheel carries only in compiled form."""
    files = descriptor_pb2.FileDescriptorSet()
    files.file.add().ParseFromString(validate_pb._DESC.proto.to_binary())
    known = (descriptor_pb2, any_pb2, duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2)
    for module in known:
        module.DESCRIPTOR.CopyToProto(files.file.add())
    return files.SerializeToString()
