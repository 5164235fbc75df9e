"""A small asyncio client: connect, create and join sessions, play; award experience, watch it rise.

async with connect("localhost:8080", token=token) as mesh:
    session = await mesh.combat.create_session("duel", max_players=2)
    async with mesh.play(session.session_id) as match:
        verdicts = await match.judge(commands.shot(0, origin, direction, slot=0))
    await mesh.progression.award(ExperienceAward(character_id="hero", source="boss", experience=500))
"""

from arenamesh.client import commands, errors
from arenamesh.client.combat import Combat, SessionStatus, SessionType
from arenamesh.client.errors import FieldError, MeshError, SessionEnded
from arenamesh.client.feed import Feed
from arenamesh.client.ledger import Batch
from arenamesh.client.match import Match
from arenamesh.client.mesh import CHANNEL_OPTIONS, Mesh, connect
from arenamesh.client.options import PlayOptions
from arenamesh.client.progression import AwardMultiplier, ExperienceAward, MasteryAward, Progression
from arenamesh.client.retry import Backoff
from arenamesh.client.tokens import Token
from arenamesh.client.view import View
from arenamesh.client.world import Player, World

__all__ = [
    "CHANNEL_OPTIONS",
    "AwardMultiplier",
    "Backoff",
    "Batch",
    "Combat",
    "ExperienceAward",
    "Feed",
    "FieldError",
    "MasteryAward",
    "Match",
    "Mesh",
    "MeshError",
    "PlayOptions",
    "Player",
    "Progression",
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
