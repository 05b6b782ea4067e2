"""The relay: moves due messages from the ledger to the queues, as far ahead as the workers can take.

Owns a claim from its first moment until Redis has it; what Redis does not take goes back under its own token. A relay
that dies in between leaves claims that run out.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID, uuid4

import redis

from config.broker import Broker, Enqueued
from config.channels import Channel, actor_name
from config.database import Pool
from config.failpoints import passing
from config.settings import Settings
from outbox import claims
from scheduler.restraint import Restraint
from scheduler.window import Window

CLAIM_LIMIT = 1_000
"""Rows in one claim: a larger one would hold its locks longer than a start may wait."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass did: rows moved, and whether more will fit in a moment, because workers are taking."""

    moved: int
    full: bool


@dataclass(frozen=True, slots=True)
class _Queue:
    """What a relay keeps in mind of one channel."""

    window: Window = field(default_factory=Window)
    restraint: Restraint = field(default_factory=Restraint)


class Relay:
    """Relays the messages of `channels`."""

    def __init__(self, pool: Pool, broker: Broker, settings: Settings, channels: Collection[Channel]) -> None:
        self._pool = pool
        self._broker = broker
        self._bundle_size = settings.batch_size
        self._lease_seconds = settings.lease_seconds
        self._late_after_seconds = settings.late_after_seconds
        self._queues = {channel: _Queue() for channel in sorted(channels)}

    async def run_once(self) -> Pass:
        """Claim and enqueue once for each channel. Raises RedisError where Redis is away, and claims nothing."""
        waiting = await asyncio.to_thread(self._broker.lengths, list(self._queues))
        moved, full = 0, False
        for channel, queue in self._queues.items():
            room = queue.window.room(waiting[channel])
            limit = min(CLAIM_LIMIT, room * self._bundle_size)
            if not limit:
                full = full or queue.window.drains
            elif not queue.restraint.rests:
                relayed = await self._relay(channel, queue, limit)
                moved += relayed
                full = full or relayed == limit
        return Pass(moved, full)

    async def _relay(self, channel: Channel, queue: _Queue, limit: int) -> int:
        token = uuid4()
        taken = await self._claim(channel, queue, token, limit)
        if not taken:
            return 0
        passing("after_claim")
        bundles = _bundles(taken, self._bundle_size)
        try:
            await asyncio.to_thread(self._broker.enqueue_all, [_message(channel, token, bundle) for bundle in bundles])
        except redis.RedisError:
            await claims.release(self._pool, [one.id for one in taken], token)
            raise
        passing("after_enqueue")
        queue.window.added(len(bundles))
        return len(taken)

    async def _claim(self, channel: Channel, queue: _Queue, token: UUID, limit: int) -> list[claims.Taken]:
        began = monotonic()
        taken = await claims.claim(
            self._pool,
            channel,
            limit=limit,
            token=token,
            lease_seconds=self._lease_seconds,
            late_after_seconds=self._late_after_seconds.get(channel),
        )
        queue.restraint.claimed(monotonic() - began, full=len(taken) == CLAIM_LIMIT)
        return taken


def _bundles(taken: Sequence[claims.Taken], size: int) -> list[list[str]]:
    together = [one.id for one in taken if not one.alone]
    bundles = [together[start : start + size] for start in range(0, len(together), size)]
    return bundles + [[one.id] for one in taken if one.alone]


def _message(channel: Channel, token: UUID, ids: list[str]) -> Enqueued:
    return channel.value, actor_name(channel), (str(token), ids)
