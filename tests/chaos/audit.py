"""What the mesh says of its own memory after a run: replays that verify, statistics that are their sum."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from arenamesh.client import connect
from arenamesh.combat.v1 import service_pb2, service_pb2_grpc, statistics_pb2
from grpc import aio

from native.reference.tally import Tally
from tests.chaos.checker import Findings
from tests.chaos.cluster import Cluster
from tests.chaos.journal import Journal
from tests.support.mesh import token

# Of the ruleset; more than it has does no harm here.
_WEAPONS = 32
_CALL_S = 60.0
_CATCH_UP_S = 120.0
_AT_ONCE = 4


@dataclass(slots=True)
class Audit:
    """How much was looked at."""

    verified: int = 0
    records: int = 0
    counted: int = 0
    """Players whose statistics equal a recount."""
    catch_up_s: float = 0.0
    """Until the projector had counted everything."""


async def audit(cluster: Cluster, journals: Mapping[str, Journal], findings: Findings) -> Audit:
    """Asks for every session; what is wrong goes into `findings.different`."""
    found = Audit()
    operator = partial(token, "auditor", "operator")
    bearer = (("authorization", f"Bearer {operator()}"),)
    slots = asyncio.Semaphore(_AT_ONCE)

    async with connect(cluster.target, token=operator) as mesh:
        stub = service_pb2_grpc.CombatServiceStub(mesh.channel)

        async def one(journal: Journal) -> None:
            metadata = (*bearer, ("x-session-id", journal.session))
            async with slots:
                try:
                    await _verify(stub, metadata, journal, found, findings)
                    await _count(stub, metadata, journal, found, findings)
                except aio.AioRpcError as error:
                    findings.different.append(
                        f"session {journal.session}: {error.code().name}: {error.details()}"
                    )

        begun = asyncio.get_running_loop().time()
        await _until_counted(stub, bearer, journals, findings)
        found.catch_up_s = asyncio.get_running_loop().time() - begun
        await asyncio.gather(*(one(journal) for journal in journals.values() if journal.sequence))
    return found


Metadata = tuple[tuple[str, str], ...]


async def _verify(stub: Any, metadata: Metadata, journal: Journal, found: Audit, findings: Findings) -> None:
    request = service_pb2.VerifyReplayRequest(session_id=journal.session)
    answer = await stub.VerifyReplay(request, metadata=metadata, timeout=_CALL_S)
    if answer.verified and answer.records == journal.sequence:
        found.verified += 1
        found.records += answer.records
    else:
        findings.different.append(
            f"session {journal.session}: of {journal.sequence} records {answer.records} verify; "
            f"record {answer.first_difference_sequence}: {answer.first_difference}"
        )


async def _until_counted(
    stub: Any, bearer: Metadata, journals: Mapping[str, Journal], findings: Findings
) -> None:
    """Waits until the statistics of every session are those of its whole journal."""
    left = {session for session, journal in journals.items() if journal.sequence}
    try:
        async with asyncio.timeout(_CATCH_UP_S):
            while left:
                for session in sorted(left):
                    answer = await _statistics(stub, (*bearer, ("x-session-id", session)), session)
                    if answer.journal_sequence == journals[session].sequence:
                        left.remove(session)
                await asyncio.sleep(0.1)
    except (TimeoutError, aio.AioRpcError) as error:
        findings.different.append(f"{len(left)} sessions were not counted: {error!r}")


async def _count(stub: Any, metadata: Metadata, journal: Journal, found: Audit, findings: Findings) -> None:
    """Compares with a recount by the readable twin, from the journal in the database."""
    answer = await _statistics(stub, metadata, journal.session)
    tally = Tally(_WEAPONS)
    tally.feed(b"".join(segment.payload for segment in journal.segments))
    expected = {str(row["player_id"]): row for row in tally.players()}
    told = {player.player_id: player for player in answer.players}
    if told.keys() != expected.keys():
        findings.different.append(f"session {journal.session}: statistics of {sorted(told)}, not all players")
        return
    for name, row in expected.items():
        wrong = [field for field in SCALARS if getattr(told[name], field) != row[field]]
        if wrong:
            findings.different.append(f"session {journal.session}: {name} differs in {', '.join(wrong)}")
        else:
            found.counted += 1


SCALARS = [field.name for field in statistics_pb2.PlayerStats.DESCRIPTOR.fields if field.message_type is None]


async def _statistics(stub: Any, metadata: Metadata, session: str) -> service_pb2.GetSessionStatsResponse:
    request = service_pb2.GetSessionStatsRequest(session_id=session)
    answer: service_pb2.GetSessionStatsResponse = await stub.GetSessionStats(
        request, metadata=metadata, timeout=_CALL_S
    )
    return answer
