"""The rescuer: takes from the dead what they held.

Owns what becomes of leases that ran out. A message in `queued` goes back, because nothing was sent; a batch goes to
replay where its vendor honours the key, and its messages are unknown otherwise. Refuses to ask vendors anything.
"""

import asyncio
from time import monotonic
from uuid import UUID, uuid4

import redis

from config import log
from config.broker import Broker
from config.catalog import served_channels
from config.channels import replay_actor_name
from config.database import Pool
from config.failpoints import passing
from config.settings import Settings
from outbox import batches, bundles, claims, jobs, presence

LIMIT = 500
"""Rows in one statement; what is left is taken in the next pass."""
SWEEP_SECONDS = 30.0
"""Between looks for what cannot happen, or happens once a day."""
RETRY_SECONDS = 2.0

_log = log.get(__name__)


class Rescuer:
    """One pass looks at every kind of lease."""

    def __init__(self, pool: Pool, broker: Broker, settings: Settings) -> None:
        self._pool = pool
        self._broker = broker
        self._lease_seconds = settings.lease_seconds
        self._margin_seconds = settings.lease_margin_seconds
        self._swept_at = -SWEEP_SECONDS

    @property
    def interval_seconds(self) -> float:
        """How often to look: a lease that ran out is found within a small part of its length."""
        return min(1.0, self._lease_seconds / 10)

    async def run_once(self) -> int:
        """Rescue what is due; return how many rows were touched."""
        touched = await claims.rescue(self._pool, limit=LIMIT)
        touched += await self._expire()
        touched += await self._enqueue_replays()
        touched += await jobs.rescue(self._pool, limit=LIMIT)
        touched += await claims.reject_unclaimable(self._pool, served_channels(), limit=LIMIT)
        if monotonic() - self._swept_at >= SWEEP_SECONDS:
            touched += await self._sweep()
            self._swept_at = monotonic()
        return touched

    async def _expire(self) -> int:
        dead = await batches.expire(self._pool, margin_seconds=self._margin_seconds, limit=LIMIT)
        if dead:
            passing("in_rescuer")
        for batch in dead:
            _log.warning("batch_rescued", send_key=str(batch.send_key), unknown=batch.unknown, replay=batch.replayable)
        return len(dead)

    async def _enqueue_replays(self) -> int:
        token = uuid4()
        due = await batches.claim_replays(self._pool, token, lease_seconds=self._lease_seconds, limit=LIMIT)
        if not due:
            return 0
        passing("after_replay_claim")
        messages = [(channel.value, replay_actor_name(channel), (str(token), key)) for key, channel in due]
        try:
            await asyncio.to_thread(self._broker.enqueue_all, messages)
        except redis.RedisError as error:
            _log.warning("replays_released", batches=len(due), error=type(error).__name__)
            keys = [UUID(key) for key, _ in due]
            await batches.postpone_replays(self._pool, keys, token, delay_seconds=RETRY_SECONDS)
        return len(due)

    async def _sweep(self) -> int:
        await presence.prune(self._pool)
        await bundles.prune(self._pool)
        closed = await batches.close_old(self._pool)
        orphans = await batches.mark_orphans(self._pool, lease_seconds=self._lease_seconds, limit=LIMIT)
        if closed or orphans:
            _log.warning("swept", replays_given_up=closed, orphans=orphans)
        return closed + orphans
