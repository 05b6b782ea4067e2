"""The job relay: moves due jobs of the platform's `job_queue` to the jobs queue, one Dramatiq message each."""

import asyncio
from uuid import uuid4

import redis

from config import log
from config.broker import Broker
from config.channels import JOB_TYPES, JOBS_QUEUE, RUN_JOB_ACTOR
from config.database import Pool
from config.settings import Settings
from outbox import jobs
from scheduler.relay import Pass

WINDOW = 50
"""Jobs that may wait in Redis: they are few and long."""

_log = log.get(__name__)


class JobRelay:
    """Relays jobs of the types that the fleet knows."""

    def __init__(self, pool: Pool, broker: Broker, settings: Settings) -> None:
        self._pool = pool
        self._broker = broker
        self._lease_seconds = settings.lease_seconds

    async def run_once(self) -> Pass:
        """Claim and enqueue once."""
        try:
            waiting = (await asyncio.to_thread(self._broker.lengths, [JOBS_QUEUE]))[JOBS_QUEUE]
        except redis.RedisError:
            return Pass(0, full=True)
        limit = max(0, WINDOW - waiting)
        moved = await self._relay(limit) if limit else 0
        return Pass(moved, full=moved == limit)

    async def _relay(self, limit: int) -> int:
        token = uuid4()
        ids = await jobs.claim(self._pool, JOB_TYPES, token, limit=limit, lease_seconds=self._lease_seconds)
        if not ids:
            return 0
        messages = [(JOBS_QUEUE, RUN_JOB_ACTOR, (str(token), id_)) for id_ in ids]
        try:
            await asyncio.to_thread(self._broker.enqueue_all, messages)
        except redis.RedisError as error:
            await jobs.release(self._pool, ids, token)
            _log.warning("jobs_released", jobs=len(ids), error=type(error).__name__)
            return 0
        return len(ids)
