"""Turns: how many bundles of questions to vendors the workers of a channel can take now.

Owns that bound: one bundle a worker process, channel and pass. What a process has no time for it puts off, so questions
wait in the ledger and not in Redis, and of each kind and channel they never take more of a worker than one thread.
"""

import asyncio
from collections.abc import Collection

from config.broker import Broker
from config.channels import Channel
from config.database import Pool
from outbox import presence
from scheduler.window import LARGEST

WINDOW = 2 * LARGEST
"""Bundles of a queue, whatever they are for, beyond which no question is added: its workers do not keep up. More than
the relay lets wait, so that a busy channel does not keep its questions waiting for ever."""


async def turns(pool: Pool, broker: Broker, channels: Collection[Channel]) -> dict[Channel, int]:
    """Return the bundles that each channel's workers can take, where they can take any. Raises RedisError."""
    waiting = await asyncio.to_thread(broker.lengths, [channel.value for channel in channels])
    serving = await presence.serving(pool)
    free = {channel: min(serving.get(channel.value, 0), WINDOW - waiting[channel.value]) for channel in channels}
    return {channel: bundles for channel, bundles in free.items() if bundles > 0}
