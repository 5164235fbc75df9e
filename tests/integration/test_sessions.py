"""Sessions over gRPC, against a real database."""

from arenamesh.combat.v1 import play_pb2

from tests.support import tokens
from tests.support.worker import Worker


async def test_a_stream_plays(combat: Worker) -> None:
    session = await combat.create()
    slot = await combat.join(session.session_id, "ann")
    await combat.begin(session.session_id)
    stream = await combat.play(session.session_id, tokens.player("ann"))
    verdicts = await stream.commands(
        play_pb2.Command(slot=slot, sequence=1, shot=play_pb2.Shot(direction_x=1))
    )
    assert [verdict.sequence for verdict in verdicts] == [1]
    await stream.until(lambda answer: answer.snapshot.tick > 3)
    await stream.call.done_writing()
    await stream.rest()
