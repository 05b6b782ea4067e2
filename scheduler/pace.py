"""When the relays look: at once while there is work, and asleep otherwise, until an insert or the clock wakes them.

An awake relay polls, and says so in the database, so that inserts need not notify. Before it sleeps it withdraws that,
looks once more, and then waits for a notification, for the next due time, or for the end of a nap, whichever comes
first. Naps grow while passes move nothing: what is due and held, or of a channel that nobody serves, keeps none awake.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Protocol
from uuid import uuid4

import redis

from config.database import AWAY, Pool
from outbox import claims, presence
from scheduler.absence import Absence
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
"""Between tries while a server is away: no insert brings it back."""
LAST_WORD_SECONDS = 2.0
"""How long a relay that ends may take to say that it sleeps; unsaid, its word runs out by itself."""


class Source(Protocol):
    """Something that moves due rows to a queue."""

    async def run_once(self) -> Pass:
        """Move what is due. Raises RedisError, or an error of AWAY, where a server is away."""
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
        self._naps = iter(LIGHT_SLEEP_SECONDS)
        self._overdue = False
        self._database, self._redis = Absence("database"), Absence("redis")

    async def run(self) -> None:
        """Relay until told to end; outlives servers that go away."""
        while not self._ending.is_set():
            try:
                await self._work_until_idle()
                await self._sleep_until_due()
            except AWAY as error:
                await self._wait_for(self._database, error)
            except redis.RedisError as error:
                await self._wait_for(self._redis, error)
        with suppress(TimeoutError, *AWAY):
            async with asyncio.timeout(LAST_WORD_SECONDS):
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
        self._database.over()
        self._redis.over()
        return Pass(sum(done.moved for done in passes), any(done.full for done in passes))

    async def _sleep_until_due(self) -> None:
        """Return when something may be due, and after a nap at the latest."""
        due = await claims.next_due(self._pool)
        overdue = due is not None and due <= 0
        if overdue and not self._overdue:
            self._naps = iter(LIGHT_SLEEP_SECONDS)
        self._overdue = overdue
        nap = next(self._naps, DEEP_SLEEP_SECONDS)
        if due is not None and not overdue:
            nap = min(nap, due)
        if self._waker.proved or overdue:
            await self._waker.wait(nap)
        else:
            await self._poll(nap)

    async def _poll(self, nap: float) -> None:
        """Nap where no insert can wake us: look often whether something has become due."""
        ends_at = monotonic() + nap
        while monotonic() < ends_at and not await self._waker.wait(min(nap, BLIND_SECONDS)):
            due = await claims.next_due(self._pool)
            if due is not None and due <= 0:
                return

    async def _wait_for(self, absence: Absence, error: Exception) -> None:
        absence.noticed(error)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), AWAY_SECONDS)

    async def _stay_awake(self) -> None:
        self._naps = iter(LIGHT_SLEEP_SECONDS)
        if monotonic() > self._awake_until - AWAKE_SECONDS / 2:
            await presence.relay_awake(self._pool, self._id, AWAKE_SECONDS)
            self._awake_until = monotonic() + AWAKE_SECONDS

    async def _fall_asleep(self) -> None:
        await presence.relay_asleep(self._pool, self._id)
        self._awake_until = 0.0
