"""Turns: how many bundles of questions to vendors the workers of a channel can take now.

Owns that bound: one bundle a worker process and pass, which is what it asks in about a second. So questions wait in the
ledger and not in Redis, behind what is sent, and never take more of a worker than one thread each.
"""

import asyncio
from collections.abc import Collection

from config.broker import Broker
from config.channels import Channel
from config.database import Pool
from outbox import presence

WINDOW = 400
"""Bundles of a queue, whatever they are for, beyond which no question is added: its workers do not keep up."""


async def turns(pool: Pool, broker: Broker, channels: Collection[Channel]) -> dict[Channel, int]:
    """Return the bundles that each channel's workers can take, where they can take any. Raises RedisError."""
    waiting = await asyncio.to_thread(broker.lengths, [channel.value for channel in channels])
    serving = await presence.serving(pool)
    free = {channel: min(serving.get(channel.value, 0), WINDOW - waiting[channel.value]) for channel in channels}
    return {channel: bundles for channel, bundles in free.items() if bundles > 0}
