"""Work that waits while the database restarts.

Owns the trying again. Refuses to say for how long, because whoever asks ends it (`console.gathering` does), and to say
whether the work may run twice: it is for work that may.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from config.database import AWAY

PAUSE_SECONDS = 0.1

_Result = TypeVar("_Result")


async def through_outage(work: Callable[[], Awaitable[_Result]]) -> _Result:
    """Run `work`, again and again while the database is away."""
    while True:
        try:
            return await work()
        except AWAY:
            await asyncio.sleep(PAUSE_SECONDS)
