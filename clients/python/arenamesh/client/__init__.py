"""A small asyncio client: connect, create and join sessions, play.

async with connect("localhost:8080", token=token) as mesh:
    session = await mesh.combat.create_session("duel", max_players=2)
    async with mesh.play(session.session_id) as match:
        verdicts = await match.judge(commands.shot(0, origin, direction, slot=0))
"""

from arenamesh.client import commands, errors
from arenamesh.client.combat import Combat, SessionStatus, SessionType
from arenamesh.client.errors import FieldError, MeshError, SessionEnded
from arenamesh.client.feed import Feed
from arenamesh.client.ledger import Batch
from arenamesh.client.match import Match
from arenamesh.client.mesh import CHANNEL_OPTIONS, Mesh, connect
from arenamesh.client.options import PlayOptions
from arenamesh.client.retry import Backoff
from arenamesh.client.tokens import Token
from arenamesh.client.view import View
from arenamesh.client.world import Player, World

__all__ = [
    "CHANNEL_OPTIONS",
    "Backoff",
    "Batch",
    "Combat",
    "Feed",
    "FieldError",
    "Match",
    "Mesh",
    "MeshError",
    "PlayOptions",
    "Player",
    "SessionEnded",
    "SessionStatus",
    "SessionType",
    "Token",
    "View",
    "World",
    "commands",
    "connect",
    "errors",
]
