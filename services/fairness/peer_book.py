"""What the peers of players did, as it was some seconds ago: enough for what is usual."""

from datetime import timedelta

from services.chassis import clock, sql
from services.chassis.background import regularly
from services.chassis.db import Database
from services.fairness.detectors import DetectorStore
from services.fairness.domain.detector import Detector, Outlier
from services.fairness.domain.finding import Peers
from services.fairness.domain.peers import Histogram, kept_as
from services.fairness.schema import SQL


class PeerBook:
    """One a process. `every_s`: how often it is read anew."""

    def __init__(self, database: Database, detectors: DetectorStore, *, every_s: float) -> None:
        self._database = database
        self._detectors = detectors
        self._every_s = every_s
        self._sql = sql.load(SQL / "peers.sql")
        self._histograms: dict[tuple[str, str], Histogram] = {}
        """By detector, and what a group is kept under."""
        self._known: dict[tuple[str, str], Peers | None] = {}
        """What was asked of them."""

    def peers(self, detector: Detector, group: str) -> Peers | None:
        """None: there are none, as far as is known."""
        key = detector.id, kept_as(detector, group)
        if key not in self._known:
            histogram = self._histograms.get(key)
            self._known[key] = None if histogram is None else histogram.peers(group)
        return self._known[key]

    async def run(self) -> None:
        """For ever."""
        await regularly(self.read, every_s=self._every_s, failing="peers stay as they were")

    async def read(self) -> None:
        """As they are now. Raises Unavailable, Overloaded."""
        today = clock.now().date()
        days = {
            detector.id: today - timedelta(days=detector.rule.days - 1)
            for detector in self._detectors.known.detectors.values()
            if isinstance(detector.rule, Outlier)
        }
        async with self._database.connection() as connection:
            found = await connection.fetch(self._sql["read"], list(days), list(days.values()))
        histograms: dict[tuple[str, str], Histogram] = {}
        for row in found:
            histogram = histograms.setdefault((row["detector_id"], row["group_name"]), Histogram())
            histogram.add(row["bucket"], row["n"])
        self._histograms, self._known = histograms, {}
