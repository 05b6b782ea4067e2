"""The job relay: moves due jobs of the platform's `job_queue` to the jobs queue, one Dramatiq message each."""

import asyncio
from uuid import uuid4

import redis

from config.broker import Broker
from config.channels import JOB_TYPES, JOBS_QUEUE, RUN_JOB_ACTOR
from config.database import Pool
from config.settings import Settings
from outbox import jobs
from scheduler.relay import Pass

WINDOW = 50
"""Jobs that may wait in Redis: they are few and long."""


class JobRelay:
    """Relays jobs of the types that the fleet knows."""

    def __init__(self, pool: Pool, broker: Broker, settings: Settings) -> None:
        self._pool = pool
        self._broker = broker
        self._lease_seconds = settings.lease_seconds

    async def run_once(self) -> Pass:
        """Claim and enqueue once. Raises RedisError where Redis is away; then nothing stays claimed."""
        waiting = (await asyncio.to_thread(self._broker.lengths, [JOBS_QUEUE]))[JOBS_QUEUE]
        limit = max(0, WINDOW - waiting)
        return Pass(await self._relay(limit) if limit else 0, full=False)

    async def _relay(self, limit: int) -> int:
        token = uuid4()
        ids = await jobs.claim(self._pool, JOB_TYPES, token, limit=limit, lease_seconds=self._lease_seconds)
        if not ids:
            return 0
        messages = [(JOBS_QUEUE, RUN_JOB_ACTOR, (str(token), id_)) for id_ in ids]
        try:
            await asyncio.to_thread(self._broker.enqueue_all, messages)
        except redis.RedisError:
            await jobs.release(self._pool, ids, token)
            raise
        return len(ids)
