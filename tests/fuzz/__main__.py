"""`scripts/fuzz`: builds the codec with AddressSanitizer and runs frames through it."""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz import frames

ROOT = Path(__file__).parents[2]
CHECKED = ROOT / "build" / "checked"
MODULES = "probe snapshot wire writer"
OPTIONS = {
    # CPython frees little at its end; growth while running is what `tests.fuzz.run` measures.
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:quarantine_size_mb=16:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    # Python's own small-block allocator would hide its blocks from the sanitizer.
    "PYTHONMALLOC": "malloc",
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz",
        description="Runs random, grown and mutated Play frames through the native codec, which is built for "
        "it with AddressSanitizer and UndefinedBehaviorSanitizer. Each frame lies in a heap block of exactly "
        "its size. Each is refused exactly when protobuf refuses it, every 20th is compared value by value "
        "with its twin and with protobuf; every 16th time verdicts and "
        "snapshots are written too, into buffers that are often too small. Ends with 1 at a crash, a "
        "difference, or when memory grows. Needs gcc with libasan.",
        epilog="Examples: scripts/fuzz; scripts/fuzz --frames 20000 --seed 7; scripts/fuzz --plain",
    )
    parser.add_argument("--frames", type=int, default=1_000_000, metavar="N", help="default: 1,000,000")
    parser.add_argument("--seed", type=int, metavar="S", help="default: a new one, printed")
    parser.add_argument("--plain", action="store_true", help="the ordinary build, without the sanitizers")
    arguments = parser.parse_args()
    seed = secrets.randbits(32) if arguments.seed is None else arguments.seed

    environment = dict(os.environ)
    if not arguments.plain:
        library = sanitizer()
        if library is None:
            print(
                "scripts/fuzz needs gcc with AddressSanitizer (libasan); it was not found.", file=sys.stderr
            )
            print(
                "  Debian and Ubuntu: apt-get install gcc (its libgcc-*-dev brings libasan)", file=sys.stderr
            )
            print("  Without it: scripts/fuzz --plain", file=sys.stderr)
            return 1
        build()
        path = os.pathsep.join([str(CHECKED), environment.get("PYTHONPATH", "")])
        # Safe path: or the working directory, with the ordinary build in it, would come first.
        environment |= OPTIONS | {"LD_PRELOAD": str(library), "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    return run(arguments.frames, seed, environment)


def sanitizer() -> Path | None:
    """gcc's libasan, which has to be loaded before everything else."""
    try:
        answer = subprocess.run(
            ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    # gcc answers with the bare name when there is no such file.
    library = Path(answer.stdout.strip())
    return library.resolve() if library.is_absolute() and library.exists() else None


def build() -> None:
    """Into a directory of its own, laid out so that it takes the place of `native`."""
    print("Building the codec with AddressSanitizer into build/checked", flush=True)
    (CHECKED / "native").mkdir(parents=True, exist_ok=True)
    for name in ("__init__.py", "reference"):
        link = CHECKED / "native" / name
        if not link.is_symlink():
            link.symlink_to(ROOT / "native" / name)
    subprocess.run(
        [
            sys.executable,
            "setup.py",
            "-q",
            "build_ext",
            "--build-lib",
            CHECKED,
            "--build-temp",
            CHECKED / "temp",
        ],
        cwd=ROOT,
        env=os.environ | {"ARENAMESH_SANITIZE": "1", "ARENAMESH_ONLY": MODULES, "CC": "gcc"},
        check=True,
    )


def run(count: int, seed: int, environment: dict[str, str]) -> int:
    """In a child, so that a crash can be told about."""
    with tempfile.NamedTemporaryFile() as position:
        command = [sys.executable, "-m", "tests.fuzz.run", str(count), str(seed), position.name]
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        if code not in (0, 1):
            at = int.from_bytes(position.read(8), "little")
            print(f"\nCRASHED (exit code {code}) at frame {at} of seed {seed}:")
            print(f"  {frames.numbered(seed, at).hex()}")
            print("Run it again with the same --seed; frames up to this one are the same.")
    return 1 if code else 0


if __name__ == "__main__":
    sys.exit(main())
