"""When the relays look: at once while there is work, and asleep otherwise, until an insert or the clock wakes them.

An awake relay polls, and says so in the database, so that inserts need not notify. Before it sleeps it withdraws that,
looks once more, and then waits for a notification, for the next due time, or for a slow poll, whichever comes first.
"""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Protocol
from uuid import uuid4

from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from config import log
from config.database import Pool
from outbox import claims, presence
from scheduler.relay import Pass
from scheduler.waker import Waker

FULL_SECONDS = 0.02
"""Wait where the windows are full: the workers take a bundle every few milliseconds."""
AWAKE_SECONDS = 2.0
"""How long the word "awake" holds; a relay that dies awake delays notifications by that much."""
LIGHT_SLEEP_SECONDS = (0.02, 0.05, 0.1, 0.2)
"""An insert whose trigger saw the relay awake may commit just after the last look: look again soon, then less often."""
DEEP_SLEEP_SECONDS = 0.5
BLIND_SECONDS = 0.04
"""The poll where notifications do not arrive, as behind a transaction-mode pooler."""
AWAY_SECONDS = 1.0

_log = log.get(__name__)


class Source(Protocol):
    """Something that moves due rows to a queue."""

    async def run_once(self) -> Pass:
        """Move what is due."""
        ...


class Pace:
    """Runs the sources, each pass after the other, as often as there is reason to."""

    def __init__(self, pool: Pool, sources: Sequence[Source], waker: Waker, ending: asyncio.Event) -> None:
        self._pool = pool
        self._sources = sources
        self._waker = waker
        self._ending = ending
        self._id = uuid4()
        self._awake_until = 0.0

    async def run(self) -> None:
        """Relay until told to end; outlives a database that goes away."""
        while not self._ending.is_set():
            try:
                await self._work_until_idle()
                await self._sleep_until_due()
            except (OperationalError, PoolTimeout) as error:
                _log.warning("database_away", error=type(error).__name__)
                await self._waker.wait(AWAY_SECONDS)
        await self._fall_asleep()

    async def _work_until_idle(self) -> None:
        while not self._ending.is_set():
            done = await self._pass()
            if not done.moved and not done.full:
                if not self._awake_until:
                    return
                await self._fall_asleep()
                continue  # once more: what was inserted while we were awake did not notify
            await self._stay_awake()
            if done.full:
                await asyncio.sleep(FULL_SECONDS)

    async def _pass(self) -> Pass:
        passes = [await source.run_once() for source in self._sources]
        return Pass(sum(done.moved for done in passes), any(done.full for done in passes))

    async def _sleep_until_due(self) -> None:
        """Return when something may be due."""
        naps = iter(LIGHT_SLEEP_SECONDS)
        while not self._ending.is_set():
            nap = next(naps, DEEP_SLEEP_SECONDS) if self._waker.proved else BLIND_SECONDS
            due = await claims.next_due(self._pool)
            if due is not None and due > 0:
                nap = min(nap, due)
            if await self._waker.wait(nap) or (due is not None and due <= nap):
                return

    async def _stay_awake(self) -> None:
        if monotonic() > self._awake_until - AWAKE_SECONDS / 2:
            await presence.relay_awake(self._pool, self._id, AWAKE_SECONDS)
            self._awake_until = monotonic() + AWAKE_SECONDS

    async def _fall_asleep(self) -> None:
        await presence.relay_asleep(self._pool, self._id)
        self._awake_until = 0.0
