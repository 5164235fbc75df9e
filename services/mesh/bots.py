"""The bot match that a developer sees first: ordinary clients, through the edge."""

from __future__ import annotations

import sys

from services.mesh.ports import LOOPBACK
from services.mesh.process import Program
from services.mesh.settings import ROOT, MeshSettings


def program(settings: MeshSettings) -> Program:
    host = LOOPBACK if settings.host == "0.0.0.0" else settings.host
    return Program(
        command=(sys.executable, "-m", "arenamesh.bots", "--edge", f"{host}:{settings.port}"),
        log=settings.logs / "bots.log",
        environment={
            # By the environment: a command line is everybody's to read.
            "JWT_SECRET": settings.jwt_secret,
            "PYTHONPATH": str(ROOT / "clients" / "python"),
            "PYTHONUNBUFFERED": "1",
        },
        folder=ROOT,
    )
