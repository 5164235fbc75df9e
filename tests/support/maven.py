"""Jars of Maven Central for the tests, fetched once into `build/` by Maven, each by its digest."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

_FOLDER = Path(__file__).parents[2] / "build" / "jars"
_TIMEOUT_S = 180
# The default version changes with Maven's.
_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>arenamesh</groupId><artifactId>tests</artifactId><version>1</version>
<dependencies>{}</dependencies></project>
"""
_DEPENDENCY = (
    "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>"
    "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>"
)


class _Jar(NamedTuple):
    coordinates: str
    digest: str

    @property
    def path(self) -> Path:
        _, artifact, version = self.coordinates.split(":")
        return _FOLDER / f"{artifact}-{version}.jar"


def class_path(lock: Path) -> str:
    """Of the jars in a file of lines `group:artifact:version digest`. Skips the test when there is no Java or
    Maven, or no way to fetch them."""
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            pytest.skip(f"{lock.stem} needs {tool}, which is not installed")
    jars = [_Jar(*line.split()) for line in lock.read_text().splitlines()]
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if missing := [jar for jar in jars if not jar.path.exists()]:
            _fetch(missing, lock.stem)
    return ":".join(str(jar.path) for jar in jars)


def _fetch(jars: list[_Jar], name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pom, copies = Path(folder, "pom.xml"), Path(folder, "jars")
        pom.write_text(_POM.format("".join(_DEPENDENCY.format(*jar.coordinates.split(":")) for jar in jars)))
        command = ["mvn", "-B", "-q", "-f", str(pom), _GOAL, f"-DoutputDirectory={copies}"]
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"{name} cannot be fetched by Maven: it took more than {_TIMEOUT_S} s")
        if ran.returncode != 0:
            pytest.skip(f"{name} cannot be fetched by Maven: {ran.stdout[-500:]}")
        for jar in jars:
            copy = copies / jar.path.name
            found = hashlib.sha256(copy.read_bytes()).hexdigest()
            assert found == jar.digest, f"{jar.coordinates} is not what it was"
            shutil.move(copy, jar.path)
