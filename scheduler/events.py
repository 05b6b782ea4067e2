"""The event relay: moves stored events that are due to the events queue, in bundles.

Refuses to apply them. An event that Redis lost is due again when its claim has run out.
"""

import asyncio

import redis

from config import log
from config.broker import Broker
from config.catalog import BUNDLE_SIZE_LIMIT
from config.channels import APPLY_EVENTS_ACTOR, EVENTS_QUEUE
from config.database import Pool
from config.settings import Settings
from outbox import events

WINDOW = 20
"""Bundles that may wait in Redis: what the workers apply in a second or two."""
RETRY_SECONDS = 2.0

_log = log.get(__name__)


class EventRelay:
    """Relays events, whichever vendor they came from."""

    interval_seconds = 0.25
    """How long a callback may lie; an idle look is one probe of a small index."""

    def __init__(self, pool: Pool, broker: Broker, settings: Settings) -> None:
        self._pool = pool
        self._broker = broker
        self._lease_seconds = settings.lease_seconds

    async def run_once(self) -> int:
        """Claim and enqueue what the window has room for; return how many events were moved."""
        try:
            waiting = (await asyncio.to_thread(self._broker.lengths, [EVENTS_QUEUE]))[EVENTS_QUEUE]
        except redis.RedisError:
            return 0
        room = max(0, WINDOW - waiting) * BUNDLE_SIZE_LIMIT
        return await self._relay(room) if room else 0

    async def _relay(self, limit: int) -> int:
        ids = await events.claim(self._pool, limit=limit, lease_seconds=self._lease_seconds)
        if not ids:
            return 0
        bundles = [ids[start : start + BUNDLE_SIZE_LIMIT] for start in range(0, len(ids), BUNDLE_SIZE_LIMIT)]
        try:
            messages = [(EVENTS_QUEUE, APPLY_EVENTS_ACTOR, (bundle,)) for bundle in bundles]
            await asyncio.to_thread(self._broker.enqueue_all, messages)
        except redis.RedisError as error:
            await events.release(self._pool, ids, delay_seconds=RETRY_SECONDS)
            _log.warning("events_released", events=len(ids), error=type(error).__name__)
            return 0
        return len(ids)
