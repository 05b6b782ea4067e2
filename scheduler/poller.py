"""The poller: hands messages that stay `sent` to the workers when it is time to ask their vendor what became of them.

Owns when and how many; refuses to ask. A bundle that Redis loses costs its messages one interval.
"""

import asyncio

import redis

from config import log
from config.broker import Broker
from config.catalog import BUNDLE_SIZE_LIMIT, polled_channels
from config.channels import Channel, poll_actor_name
from config.database import Pool
from config.settings import Settings
from outbox import polls
from scheduler.turns import turns

RETRY_SECONDS = 2.0

_log = log.get(__name__)


class Poller:
    """One pass gives each worker that serves a channel one bundle; without one, looks wait in the ledger."""

    def __init__(self, pool: Pool, broker: Broker, settings: Settings) -> None:
        self._pool = pool
        self._broker = broker
        self._patience = {channel: polls.patience_seconds(channel, settings) for channel in polled_channels()}

    @property
    def interval_seconds(self) -> float:
        """How often to look: soon after the shortest patience is over, and no faster than workers ask."""
        return min(1.0, max(0.1, min(self._patience.values()) / 10))

    async def run_once(self) -> int:
        """Claim and enqueue what is due; return how many messages."""
        try:
            free = await turns(self._pool, self._broker, self._patience)
        except redis.RedisError:
            return 0
        return sum([await self._hand_over(channel, bundles) for channel, bundles in free.items()])

    async def _hand_over(self, channel: Channel, bundles: int) -> int:
        limit = bundles * BUNDLE_SIZE_LIMIT
        ids = await polls.claim(self._pool, channel, patience_seconds=self._patience[channel], limit=limit)
        if not ids:
            return 0
        starts = range(0, len(ids), BUNDLE_SIZE_LIMIT)
        bundled = [ids[start : start + BUNDLE_SIZE_LIMIT] for start in starts]
        messages = [(channel.value, poll_actor_name(channel), (bundle,)) for bundle in bundled]
        try:
            await asyncio.to_thread(self._broker.enqueue_all, messages)
        except redis.RedisError as error:
            await polls.release(self._pool, ids, delay_seconds=RETRY_SECONDS)
            _log.warning("polls_released", messages=len(ids), error=type(error).__name__)
            return 0
        return len(ids)
