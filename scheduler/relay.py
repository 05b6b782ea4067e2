"""The relay: moves due messages from the ledger to the queues, as far ahead as the workers can take.

Owns a claim from its first moment until Redis has it; what Redis does not take goes back under its own token. A relay
that dies in between leaves claims that run out.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import redis

from config import log
from config.broker import Broker, Enqueued
from config.channels import Channel, actor_name
from config.database import Pool
from config.failpoints import passing
from config.settings import Settings
from outbox import claims
from scheduler.window import Window

CLAIM_LIMIT = 1_000
"""Rows in one claim: a larger one would hold its locks longer than a start may wait."""

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass did: rows moved, and whether a full window kept it from moving more."""

    moved: int
    full: bool


class Relay:
    """Relays the messages of `channels`."""

    def __init__(self, pool: Pool, broker: Broker, settings: Settings, channels: Collection[Channel]) -> None:
        self._pool = pool
        self._broker = broker
        self._bundle_size = settings.batch_size
        self._lease_seconds = settings.lease_seconds
        self._late_after_seconds = settings.late_after_seconds
        self._windows = {channel: Window() for channel in sorted(channels)}

    async def run_once(self) -> Pass:
        """Claim and enqueue once for each channel."""
        try:
            waiting = await asyncio.to_thread(self._broker.lengths, list(self._windows))
        except redis.RedisError as error:
            _log.warning("redis_away", error=type(error).__name__)
            return Pass(0, full=True)  # nothing is claimed that could not be enqueued
        moved, full = 0, False
        for channel, window in self._windows.items():
            room = window.room(waiting[channel])
            limit = min(CLAIM_LIMIT, room * self._bundle_size)
            relayed = await self._relay(channel, window, limit) if limit else 0
            moved += relayed
            full = full or relayed == limit
        return Pass(moved, full)

    async def _relay(self, channel: Channel, window: Window, limit: int) -> int:
        token = uuid4()
        taken = await claims.claim(
            self._pool,
            channel,
            limit=limit,
            token=token,
            lease_seconds=self._lease_seconds,
            late_after_seconds=self._late_after_seconds.get(channel),
        )
        if not taken:
            return 0
        passing("after_claim")
        bundles = _bundles(taken, self._bundle_size)
        messages = [_message(channel, token, bundle) for bundle in bundles]
        try:
            await asyncio.to_thread(self._broker.enqueue_all, messages)
        except redis.RedisError as error:
            released = await claims.release(self._pool, [one.id for one in taken], token)
            _log.warning("released", channel=channel, messages=released, error=type(error).__name__)
            return 0
        passing("after_enqueue")
        window.added(len(bundles))
        return len(taken)


def _bundles(taken: Sequence[claims.Taken], size: int) -> list[list[str]]:
    together = [one.id for one in taken if not one.alone]
    bundles = [together[start : start + size] for start in range(0, len(together), size)]
    return bundles + [[one.id] for one in taken if one.alone]


def _message(channel: Channel, token: UUID, ids: list[str]) -> Enqueued:
    return channel.value, actor_name(channel), (str(token), ids)
