"""Look-ups: hands the attempts whose outcome nobody knows to the workers when it is time to ask their vendor.

Owns when; refuses to ask. The claim in the table is what counts, so a lost Redis costs a lease and nothing else.
"""

import asyncio
from uuid import UUID, uuid4

import redis

from config import log
from config.broker import Broker
from config.catalog import BUNDLE_SIZE_LIMIT, served_channels
from config.channels import Channel, look_up_actor_name
from config.database import Pool
from config.settings import Settings
from outbox import unknowns
from outbox.unknowns import Patience
from scheduler.turns import turns

LEASES = 2
"""How many ordinary leases a look may take. Nothing is sent under it: a look that comes twice finds the same."""
RETRY_SECONDS = 2.0

_log = log.get(__name__)


class LookUps:
    """One pass hands over what is due on every channel, as far as its workers can take it."""

    def __init__(self, pool: Pool, broker: Broker, settings: Settings) -> None:
        self._pool = pool
        self._broker = broker
        self._lease_seconds = LEASES * settings.lease_seconds
        self._patience = Patience(settings.reconcile_grace_seconds, settings.reconcile_horizon_seconds)

    @property
    def interval_seconds(self) -> float:
        """How often to look: soon after the grace is over."""
        return min(1.0, max(0.1, self._patience.grace_seconds / 10))

    async def run_once(self) -> int:
        """Claim and enqueue what is due; return how many attempts."""
        try:
            free = await turns(self._pool, self._broker, sorted(served_channels()))
        except redis.RedisError:
            return 0
        return sum([await self._hand_over(channel, bundles) for channel, bundles in free.items()])

    async def _hand_over(self, channel: Channel, bundles: int) -> int:
        token, limit = uuid4(), bundles * BUNDLE_SIZE_LIMIT
        whose = (self._pool, channel, token, self._patience)
        ids = await unknowns.claim(*whose, lease_seconds=self._lease_seconds, limit=limit)
        if not ids:
            return 0
        messages = [
            (channel.value, look_up_actor_name(channel), (str(token), ids[start : start + BUNDLE_SIZE_LIMIT]))
            for start in range(0, len(ids), BUNDLE_SIZE_LIMIT)
        ]
        try:
            await asyncio.to_thread(self._broker.enqueue_all, messages)
        except redis.RedisError as error:
            _log.warning("look_ups_released", attempts=len(ids), error=type(error).__name__)
            await unknowns.postpone(self._pool, [UUID(id_) for id_ in ids], token, delay_seconds=RETRY_SECONDS)
            return 0
        return len(ids)
