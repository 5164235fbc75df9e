"""Last words to a stream, encoded once."""

from arenamesh.combat.v1 import play_pb2, spectate_pb2


def to_player(kind: play_pb2.NoticeKind, reason: str) -> bytes:
    """A PlayResponse; nothing for an unspecified kind, when the status says it all."""
    if not kind:
        return b""
    return play_pb2.PlayResponse(notices=[play_pb2.Notice(kind=kind, reason=reason)]).SerializeToString()


def to_spectator(kind: play_pb2.NoticeKind, reason: str) -> bytes:
    """A SpectateResponse; likewise."""
    if not kind:
        return b""
    notice = play_pb2.Notice(kind=kind, reason=reason)
    frame = spectate_pb2.SpectatorFrame(notices=[notice])
    return spectate_pb2.SpectateResponse(frame=frame).SerializeToString()
