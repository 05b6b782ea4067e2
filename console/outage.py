"""Work that waits while the database restarts, for no longer than whoever asked for it waits for an answer.

Owns the patience. Refuses to judge whether the work may run twice: it is for work that may.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from config.database import AWAY

PAUSE_SECONDS = 0.1

_Result = TypeVar("_Result")


async def through_outage(work: Callable[[], Awaitable[_Result]], seconds: float) -> _Result:
    """Run `work`, again and again while the database is away. Raises TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await work()
            except AWAY:
                await asyncio.sleep(PAUSE_SECONDS)
