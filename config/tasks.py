"""Ending the tasks of an event loop, so that none outlives its process.

Owns that a task which was told to end does. One `cancel` is not enough: an error that comes in the same moment takes
the place of the cancellation (a connection that breaks, a `TaskGroup` whose member fails), and before Python 3.12
`asyncio.wait_for` forgets one that comes as its wait ends. A loop that handles the error then goes on for ever.
"""

import asyncio
from collections.abc import Collection
from typing import Any

AGAIN_SECONDS = 1.0
"""How long a task may clean up before it is told again."""


async def end(tasks: "Collection[asyncio.Task[Any]]", again_seconds: float = AGAIN_SECONDS) -> None:
    """Cancel tasks until they are done. What they raise stays with them, for whoever awaits them."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again_seconds)
