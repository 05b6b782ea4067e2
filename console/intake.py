"""What concurrent callbacks report is stored in one statement; each is answered after the commit that holds it.

Owns the group commit: no row fails its neighbours, a database that restarts is waited for, and what waits is bounded in
number, in bytes and in time. Refuses to read callbacks. Storing again what may have been stored changes nothing, so
whoever is told to come back does no harm.
"""

from collections.abc import Sequence
from typing import NamedTuple

from psycopg import Error

from config import log
from config.database import AWAY, Pool
from console.gathering import Gathering, Overloaded
from console.outage import through_outage
from outbox import events
from outbox.events import Report

ROUND_LIMIT = 200
"""Requests of one commit."""
WAITING_LIMIT = 2_000
WAITING_BYTES_LIMIT = 67_108_864
HOLD_SECONDS = 8.0
"""For each callback from the moment at which it asks, in line and in its round, whatever the database does.

Vendors wait some fifteen seconds, and not all of them come again."""

_log = log.get(__name__)


class Unstorable(Exception):
    """The database takes nothing for this callback, not even without the vendor's words."""


class _Said(NamedTuple):
    reports: Sequence[Report]
    rows: bytes


class Intake:
    """Stores the events of one web process."""

    def __init__(self, pool: Pool, *, hold_seconds: float = HOLD_SECONDS) -> None:
        self._pool = pool
        self._bytes = 0
        self._together: Gathering[_Said, None] = Gathering(
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
        rows = events.encoded(reports)
        if self._bytes + len(rows) > WAITING_BYTES_LIMIT:
            raise Overloaded
        self._bytes += len(rows)
        await self._together.ask(_Said(reports, rows))

    def _let_go(self, said: _Said) -> None:
        """Give its bytes back: not when whoever asked leaves, but when its rows are held no more."""
        self._bytes -= len(said.rows)

    async def _store(self, round_: Sequence[_Said]) -> Sequence[Exception | None]:
        return await through_outage(lambda: self._halved(round_))

    async def _halved(self, round_: Sequence[_Said]) -> Sequence[Exception | None]:
        """Store a round; where the database refuses it, halve it until what it refuses stands alone."""
        try:
            await events.store_encoded(self._pool, [said.rows for said in round_])
        except AWAY:
            raise
        except Error as refused:
            if len(round_) == 1:
                return [await self._without_words(round_[0].reports, refused)]
            middle = len(round_) // 2
            return [*await self._halved(round_[:middle]), *await self._halved(round_[middle:])]
        return [None] * len(round_)

    async def _without_words(self, reports: Sequence[Report], refused: Error) -> Exception | None:
        """Store what we decided ourselves, without what the vendor wrote."""
        _log.error("callback_words_refused", provider=reports[0].provider, error=type(refused).__name__)
        try:
            await events.store(self._pool, [events.without_words(report) for report in reports])
        except AWAY:
            raise
        except Error as error:
            _log.error("callback_refused", provider=reports[0].provider, error=type(error).__name__)
            return Unstorable()
        return None
