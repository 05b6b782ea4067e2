"""Look-ups: hands the attempts whose outcome nobody knows to the workers when it is time to ask their vendor.

Owns when; refuses to ask. The claim in the table is what counts, so a lost Redis costs a lease and nothing else.
"""

import asyncio
from uuid import UUID, uuid4

import redis

from config import log
from config.broker import Broker
from config.channels import Channel, look_up_actor_name
from config.database import Pool
from config.settings import Settings
from outbox import unknowns
from outbox.unknowns import Patience

LIMIT = 500
"""Attempts in one pass."""
BUNDLE_SIZE = 20
"""Attempts in one bundle: each recipient of it costs at least one request."""
LEASES = 2
"""How many ordinary leases a look may take. Nothing is sent under it: a look that comes twice finds the same."""
RETRY_SECONDS = 2.0

_log = log.get(__name__)


class LookUps:
    """One pass takes what is due on every channel."""

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
        token = uuid4()
        due = await unknowns.claim(self._pool, token, self._patience, lease_seconds=self._lease_seconds, limit=LIMIT)
        if not due:
            return 0
        by_channel: dict[Channel, list[str]] = {}
        for attempt_id, channel in due:
            by_channel.setdefault(channel, []).append(attempt_id)
        messages = [
            (channel.value, look_up_actor_name(channel), (str(token), ids[start : start + BUNDLE_SIZE]))
            for channel, ids in by_channel.items()
            for start in range(0, len(ids), BUNDLE_SIZE)
        ]
        try:
            await asyncio.to_thread(self._broker.enqueue_all, messages)
        except redis.RedisError as error:
            _log.warning("look_ups_released", attempts=len(due), error=type(error).__name__)
            ids = [UUID(attempt_id) for attempt_id, _ in due]
            await unknowns.postpone(self._pool, ids, token, delay_seconds=RETRY_SECONDS)
        return len(due)
