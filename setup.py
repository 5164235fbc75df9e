"""Builds the Cython extensions and the protobuf stubs; everything else is in pyproject.toml."""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "clients" / "python"))

import stubs  # noqa: E402

# Same result bit for bit on every CPU: no fused multiply-add, no reordering of sums. The two `-fno-`
# flags keep IEEE values and are what lets the compiler vectorise the broad phase.
COMPILE_ARGS = [
    "-O3",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-strict-aliasing",
    "-Wno-unreachable-code",
]
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "embedsignature": True,
}
LINK_ARGS: list[str] = []
# A checked build for scripts/fuzz: every read and write of memory is watched.
if os.environ.get("ARENAMESH_SANITIZE"):
    COMPILE_ARGS += ["-O1", "-g", "-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
    LINK_ARGS += ["-fsanitize=address,undefined"]


class BuildWithStubs(build_ext):
    def run(self) -> None:
        stubs.generate(ROOT)
        super().run()


def extensions() -> list[Extension]:
    only = os.environ.get("ARENAMESH_ONLY", "").split()
    names = sorted(path.stem for path in (ROOT / "native").glob("*.pyx"))
    return [
        Extension(
            f"native.{name}",
            [f"native/{name}.pyx"],
            extra_compile_args=COMPILE_ARGS,
            extra_link_args=LINK_ARGS,
            libraries=["m"],
        )
        for name in names
        if not only or name in only
    ]


CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

setup(
    ext_modules=cythonize(
        extensions(), compiler_directives=DIRECTIVES, build_dir="build/cython", nthreads=CORES
    ),
    options={"build_ext": {"parallel": CORES}},
    cmdclass={"build_ext": BuildWithStubs},
)
