"""What concurrent callbacks report is stored in one statement; each is answered after the commit that holds it.

Owns the group commit: no row fails its neighbours, a database that restarts is waited for, and what waits is bounded in
number, in bytes and in time. Refuses to read callbacks. Storing again what may have been stored changes nothing, so
whoever is told to come back does no harm.
"""

from collections.abc import Sequence

from config.database import Pool
from console.gathering import Gathering, Overloaded
from console.outage import through_outage
from outbox import neighbours
from outbox.events import Report
from outbox.neighbours import Said

ROUND_LIMIT = 200
"""Requests of one commit."""
WAITING_LIMIT = 2_000
WAITING_BYTES_LIMIT = 67_108_864
HOLD_SECONDS = 8.0
"""For each callback from the moment at which it asks, in line and in its round, whatever the database does.

Vendors wait some fifteen seconds, and not all of them come again."""


class Unstorable(Exception):
    """The database takes nothing for this callback, not even without the vendor's words."""


class Intake:
    """Stores the events of one web process."""

    def __init__(self, pool: Pool, *, hold_seconds: float = HOLD_SECONDS) -> None:
        self._pool = pool
        self._bytes = 0
        self._together: Gathering[Said, None] = Gathering(
            self._store,
            round_limit=ROUND_LIMIT,
            waiting_limit=WAITING_LIMIT,
            hold_seconds=hold_seconds,
            let_go=self._let_go,
        )

    async def store(self, reports: Sequence[Report]) -> None:
        """Return when the events are committed.

        Raises Overloaded, Unstorable, and TimeoutError where the database is away or behind: then they may or may not
        be stored.
        """
        said = neighbours.said(reports)
        if self._bytes + len(said.rows) > WAITING_BYTES_LIMIT:
            raise Overloaded
        self._bytes += len(said.rows)
        await self._together.ask(said)

    def _let_go(self, said: Said) -> None:
        """Give its bytes back: not when whoever asked leaves, but when its rows are held no more."""
        self._bytes -= len(said.rows)

    async def _store(self, round_: Sequence[Said]) -> Sequence[Exception | None]:
        refused = await through_outage(lambda: neighbours.store(self._pool, round_))
        return [Unstorable() if why else None for why in refused]
