"""Campaign figures, kept up to date: which campaigns have changed is folded often, and each is counted with rests.

Refuses to say what a figure means (`campaigns.metrics` does). Several may run beside each other: a campaign is counted
by one of them at a time, and what one has folded any may count.
"""

from time import monotonic
from uuid import UUID

from campaigns import metrics
from config import log
from config.clock import Clock
from config.database import Pool

HINTS = 5_000
"""In one statement; a settlement writes one for each campaign, so these are a minute's on a busy fleet."""
BATCH = 100
"""Campaigns counted in one transaction."""
BATCHES = 3
"""In one pass: ten thousand small campaigns that change all the time are counted less often, not with more of the
database."""
SWEEP_SECONDS = 300.0
SWEEP_OVERLAP_SECONDS = 120.0
"""An attempt is dated when its answer came, and written when the database takes it."""
FIRST_SWEEP_SECONDS = 3600.0
"""How far the first sweep of a process looks back."""
NOWHERE_LIMIT = 10_000
"""Ids of no campaign that are remembered, so that each is said once."""

_log = log.get(__name__)


class CampaignMetrics:
    """One pass folds what hints have come, and counts what is due and has rested."""

    interval_seconds = 1.0
    """How long a change may lie; an idle look is two probes of small tables."""

    def __init__(self, pool: Pool, clock: Clock = monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._nowhere: set[UUID] = set()
        self._swept_at = clock() - FIRST_SWEEP_SECONDS
        self._sweeps_at = clock()

    async def run_once(self) -> int:
        """Return how many campaigns were due."""
        folded = await metrics.fold(self._pool, limit=HINTS)
        self._say_once(folded.nowhere)
        looked_at = 0
        for _ in range(BATCHES):
            some = await metrics.roll_up(self._pool, limit=BATCH)
            looked_at += some
            if some < BATCH:
                break
        if self._clock() >= self._sweeps_at:  # last: a search that fails must not keep figures from being counted
            await self._sweep()
        return looked_at

    async def _sweep(self) -> None:
        """Find what no hint has named; rests in proportion to what the search cost."""
        began = self._clock()
        since_seconds = began - self._swept_at + SWEEP_OVERLAP_SECONDS
        marked = await metrics.sweep(self._pool, since_seconds=since_seconds)
        ended = self._clock()
        self._swept_at = began
        self._sweeps_at = ended + max(SWEEP_SECONDS, metrics.REST_PER_SECOND * (ended - began))
        _log.debug("campaigns_swept", campaigns=marked)

    def _say_once(self, nowhere: frozenset[UUID]) -> None:
        if len(self._nowhere) > NOWHERE_LIMIT:
            self._nowhere.clear()
        for id_ in nowhere - self._nowhere:
            _log.debug("campaign_nowhere", campaign_id=str(id_))
        self._nowhere |= nowhere
