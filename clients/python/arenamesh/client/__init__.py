"""A small asyncio client: connect, create and join sessions, play; award experience; count, grant and claim;
rank; what restricts a player.

async with connect("localhost:8080", token=token) as mesh:
    session = await mesh.combat.create_session("duel", max_players=2)
    async with mesh.play(session.session_id) as match:
        verdicts = await match.judge(commands.shot(0, origin, direction, slot=0))
    await mesh.progression.award(ExperienceAward(character_id="hero", source="boss", experience=500))
    await mesh.gamification.metrics.record(MetricRecord(user_id="ada", metric="kills"))
    await mesh.leaderboard.submit(Score(player_id="ada", score=1200))
    standing = await mesh.fairness.standing("ada")
"""

from arenamesh.client import commands, errors
from arenamesh.client.combat import Combat, SessionStatus, SessionType
from arenamesh.client.errors import FieldError, MeshError, SessionEnded
from arenamesh.client.fairness import Fairness
from arenamesh.client.feed import Feed
from arenamesh.client.gamification import Gamification
from arenamesh.client.ingest import Ingest, sign
from arenamesh.client.leaderboard import Leaderboard
from arenamesh.client.ledger import Batch
from arenamesh.client.match import Match
from arenamesh.client.mesh import CHANNEL_OPTIONS, Mesh, connect
from arenamesh.client.options import PlayOptions
from arenamesh.client.progression import AwardMultiplier, ExperienceAward, MasteryAward, Progression
from arenamesh.client.retry import Backoff
from arenamesh.client.tokens import Token
from arenamesh.client.view import View
from arenamesh.client.world import Player, World
from arenamesh.gamification.v1.metric_pb2 import MetricRecord
from arenamesh.liveops.v1.board_pb2 import Score
from arenamesh.liveops.v1.event_pb2 import Event

__all__ = [
    "CHANNEL_OPTIONS",
    "AwardMultiplier",
    "Backoff",
    "Batch",
    "Combat",
    "Event",
    "ExperienceAward",
    "Fairness",
    "Feed",
    "FieldError",
    "Gamification",
    "Ingest",
    "Leaderboard",
    "MasteryAward",
    "Match",
    "Mesh",
    "MeshError",
    "MetricRecord",
    "PlayOptions",
    "Player",
    "Progression",
    "Score",
    "SessionEnded",
    "SessionStatus",
    "SessionType",
    "Token",
    "View",
    "World",
    "commands",
    "connect",
    "errors",
    "sign",
]
