"""Detectors in PostgreSQL, every version of each, and in memory for as long as none changes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from arenamesh.liveops.v1 import detector_pb2
from google.protobuf import json_format

from services.chassis import definition_files, sql
from services.chassis.current import Current
from services.chassis.db import Connection, Database
from services.fairness.domain.detector import Catalogue, Detector
from services.fairness.schema import SQL
from services.fairness.translate_in import same_rule, to_detector


@dataclass(frozen=True, slots=True)
class Version:
    """A detector as it was given, without what the service sets, and what the service set."""

    message: detector_pb2.Detector
    detector: Detector
    created_at: datetime


class Rule(NamedTuple):
    """What a record is of: a detector's versions with the same signals and rule."""

    detector_id: str
    version: int


class DetectorStore:
    """One a process. Callers bring the connection."""

    def __init__(self) -> None:
        self._sql = sql.load(SQL / "detectors.sql")
        self.known = Catalogue(-1, {})
        """As it was read last."""
        self.versions: Mapping[str, Version] = {}
        """Of `known`, by id."""

    async def present(self, connection: Connection) -> Catalogue:
        """As it is now."""
        return await self.at_least(connection, await connection.fetchval(self._sql["revision"]))

    async def at_least(self, connection: Connection, revision: int) -> Catalogue:
        """Of that revision or a later one: read again only when what is known is older."""
        if self.known.revision < revision:
            # The revision first: what is changed meanwhile is read again the next time.
            newer = await connection.fetchval(self._sql["revision"])
            versions = await self._read(connection)
            if self.known.revision < newer:
                self.versions = versions
                self.known = Catalogue(newer, {id_: each.detector for id_, each in versions.items()})
        return self.known

    async def _read(self, connection: Connection) -> dict[str, Version]:
        found = {}
        for row in await connection.fetch(self._sql["detectors"]):
            message = json_format.Parse(row["document"], detector_pb2.Detector())
            message.version = row["version"]
            detector = to_detector(message, row["rule_version"])
            found[row["id"]] = Version(message, detector, row["created_at"])
        return found

    async def records(self, connection: Connection) -> dict[Rule, detector_pb2.DetectorRecord]:
        return {
            Rule(row["detector_id"], row["rule_version"]): detector_pb2.DetectorRecord(
                observations=row["observations"],
                flags=row["flags"],
                confirmed=row["confirmed"],
                dismissed=row["dismissed"],
            )
            for row in await connection.fetch(self._sql["records"])
        }

    async def locked(self, connection: Connection) -> Mapping[str, Version]:
        """As they are, by id; in a transaction, until the end of which nobody else changes them. They are not
        remembered, since it may come to nothing."""
        await connection.execute(self._sql["advance"])
        return await self._read(connection)

    async def add(
        self, connection: Connection, message: detector_pb2.Detector, before: Version | None, at: datetime
    ) -> Version:
        """Another version than the one before, in a transaction with `locked`. Raises InvalidArgument."""
        given = plain(message)
        given.version = 1 if before is None else before.detector.version + 1
        keeps = before is not None and same_rule(before.message, given)
        rule_version = before.detector.rule_version if before is not None and keeps else given.version
        detector = to_detector(given, rule_version)
        document = json.dumps(json_format.MessageToDict(plain(given), preserving_proto_field_name=True))
        await connection.execute(self._sql["add"], given.id, given.version, rule_version, document, at)
        return Version(given, detector, at)


def plain(message: detector_pb2.Detector) -> detector_pb2.Detector:
    """A copy without what the service sets."""
    found = detector_pb2.Detector()
    found.CopyFrom(message)
    for field in ("version", "created_at", "record"):
        found.ClearField(field)
    return found


class Detectors(Current[Catalogue]):
    """What there is, for whoever asks."""

    def __init__(self, database: Database, store: DetectorStore) -> None:
        super().__init__(database, store)
        self._store = store

    async def shown(self) -> list[detector_pb2.Detector]:
        """All of them as they are now, by id, with how they did so far."""
        async with self._database.connection() as connection:
            await self._store.present(connection)
            versions = self._store.versions
            records = await self._store.records(connection)
        return [shown(version, records) for _, version in sorted(versions.items())]


def shown(version: Version, records: Mapping[Rule, detector_pb2.DetectorRecord]) -> detector_pb2.Detector:
    """With what the service sets."""
    message = detector_pb2.Detector()
    message.CopyFrom(version.message)
    message.created_at.FromDatetime(version.created_at)
    record = records.get(Rule(version.detector.id, version.detector.rule_version))
    message.record.CopyFrom(record or detector_pb2.DetectorRecord())
    return message


def read(folder: Path) -> list[detector_pb2.Detector]:
    """The detectors in files, `detectors/<id>.json`. Raises ValueError, naming the file and the field."""

    def checked(message: detector_pb2.Detector) -> detector_pb2.Detector:
        to_detector(message, 1)
        return message

    return list(definition_files.read(folder / "detectors", detector_pb2.Detector, checked).values())
