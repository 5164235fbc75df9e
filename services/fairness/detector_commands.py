"""What it takes to change a detector: each change is another version, and a line in the log."""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from arenamesh.liveops.v1 import detector_pb2, fairness_service_pb2

from services.chassis import clock
from services.chassis.db import Connection, Database
from services.chassis.errors import FailedPrecondition, InvalidArgument, ResourceExhausted
from services.chassis.idempotency import Idempotency, IdempotencyKey
from services.fairness import audit_log
from services.fairness.audit_log import AuditLog
from services.fairness.detectors import DetectorStore, Rule, Version, plain, shown
from services.fairness.domain import audit
from services.fairness.domain.audit import Line
from services.fairness.domain.detector import Detector, Mode
from services.fairness.domain.player import SERVICE
from services.fairness.schema import SCHEMA
from services.fairness.translate_in import no_nul, to_detector

_Change = Callable[[Connection], Awaitable[tuple[bytes, list[Line]]]]


class DetectorCommands:
    """Every one is durable when it returns. `promotion_observations`: how often a rule must have been watched
    before it may throttle or block. `most`: detectors that there may be."""

    def __init__(
        self, database: Database, store: DetectorStore, *, promotion_observations: int, most: int
    ) -> None:
        self._database = database
        self._store = store
        self._needed = promotion_observations
        self._most = most
        self._log = AuditLog()
        self._idempotency = Idempotency(SCHEMA)

    async def update(
        self, key: IdempotencyKey | None, actor: str, request: fairness_service_pb2.UpdateDetectorRequest
    ) -> fairness_service_pb2.UpdateDetectorResponse:
        """What is as it was makes no version.

        Raises:
            InvalidArgument: something of it is wrong, or `without_shadow_run` comes without a reason.
            FailedPrecondition: SHADOW_RUN_MISSING, its rule was not watched on enough observations.
            ResourceExhausted: TOO_MANY_DETECTORS.
        """
        no_nul(request.reason, "reason")
        to_detector(request.detector, 1)
        if request.without_shadow_run and not request.reason.strip():
            raise InvalidArgument.of("reason", "must say why the detector need not be watched first")

        async def change(connection: Connection) -> tuple[bytes, list[Line]]:
            known = await self._store.locked(connection)
            records = await self._store.records(connection)
            version, lines = known.get(request.detector.id), list[Line]()
            if version is None or plain(version.message) != plain(request.detector):
                version, lines = await self._changed(connection, known, records, actor, request)
            answer = fairness_service_pb2.UpdateDetectorResponse(detector=shown(version, records))
            return answer.SerializeToString(), lines

        return fairness_service_pb2.UpdateDetectorResponse.FromString(await self._run(key, change))

    async def _changed(
        self,
        connection: Connection,
        known: Mapping[str, Version],
        records: Mapping[Rule, detector_pb2.DetectorRecord],
        actor: str,
        request: fairness_service_pb2.UpdateDetectorRequest,
    ) -> tuple[Version, list[Line]]:
        before = known.get(request.detector.id)
        if before is None and len(known) >= self._most:
            raise ResourceExhausted(
                f"There are {self._most} detectors.",
                reason="TOO_MANY_DETECTORS",
                metadata={"most": str(self._most)},
            )
        version = await self._store.add(connection, request.detector, before, clock.now())
        watched = self._watched(version.detector, records)
        if _promoted(before, version.detector) and watched < self._needed and not request.without_shadow_run:
            raise FailedPrecondition(
                f"The rule was watched on {watched} observations; it takes {self._needed} before it may "
                "throttle or block.",
                reason="SHADOW_RUN_MISSING",
                metadata={"observations": str(watched), "needed": str(self._needed)},
            )
        entry = _entry(
            before,
            version,
            actor,
            reason=request.reason,
            watched=watched,
            without_shadow_run=request.without_shadow_run,
        )
        return version, await self._log.append(connection, [entry])

    def _watched(self, detector: Detector, records: Mapping[Rule, detector_pb2.DetectorRecord]) -> int:
        """Observations of its rule so far."""
        record = records.get(Rule(detector.id, detector.rule_version))
        return 0 if record is None else record.observations

    async def install(self, messages: Iterable[detector_pb2.Detector]) -> list[str]:
        """Adds those that are not there yet; their ids. What comes with the service has been watched by those
        who made it."""
        added: list[str] = []

        async def change(connection: Connection) -> tuple[bytes, list[Line]]:
            known = await self._store.locked(connection)
            new = [message for message in messages if message.id not in known]
            versions = [await self._store.add(connection, each, None, clock.now()) for each in new]
            added[:] = [message.id for message in new]
            entries = [_entry(None, each, SERVICE, reason="installed") for each in versions]
            return b"", await self._log.append(connection, entries) if entries else []

        await self._run(None, change)
        return added

    async def _run(self, key: IdempotencyKey | None, change: _Change) -> bytes:
        """The answer; the stored one of a repeated key."""

        async def transact(connection: Connection) -> tuple[bytes, list[Line]]:
            lines: list[Line] = []

            async def work() -> bytes:
                answer, made = await change(connection)
                lines.extend(made)
                return answer

            answer, _ = await self._idempotency.run(connection, key, work)
            return answer, lines

        answer, lines = await self._database.transaction(transact)
        audit_log.told(lines)
        return answer


def _promoted(before: Version | None, after: Detector) -> bool:
    """Whether it does more to players than it did by the same rule."""
    if after.mode < Mode.THROTTLE:
        return False
    return (
        before is None
        or before.detector.rule_version != after.rule_version
        or before.detector.mode < after.mode
    )


def _entry(
    before: Version | None,
    after: Version,
    actor: str,
    *,
    reason: str,
    watched: int = 0,
    without_shadow_run: bool = False,
) -> audit.Entry:
    detector = after.detector
    return audit.entry(
        after.created_at,
        actor,
        "detector.changed",
        detector=detector.id,
        version=detector.version,
        rule_version=detector.rule_version,
        mode=detector.mode.name.lower(),
        mode_before=None if before is None else before.detector.mode.name.lower(),
        reason=reason,
        watched=watched,
        without_shadow_run=without_shadow_run,
    )
