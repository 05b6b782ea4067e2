"""A task that was told to end does, whatever took the place of its cancellation."""

import asyncio
from contextlib import suppress

import pytest

from config.tasks import end


async def for_ever(swallows: int) -> None:
    """A loop that loses its first cancellations, as a connection that breaks in that moment makes it."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if not swallows:
                raise
            swallows -= 1


async def begun(*swallows: int) -> "list[asyncio.Task[None]]":
    tasks = [asyncio.create_task(for_ever(number)) for number in swallows]
    await asyncio.sleep(0)
    return tasks


async def test_a_task_that_loses_cancellations_is_told_again() -> None:
    tasks = await begun(0, 1, 3)
    await end(tasks, again_seconds=0.001)
    assert [task.cancelled() for task in tasks] == [True, True, True]


async def test_what_a_task_raises_is_left_to_whoever_awaits_it() -> None:
    async def fails() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        raise ConnectionError

    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await end([task])
    with pytest.raises(ConnectionError):
        await task


async def test_there_may_be_none_and_some_may_be_done() -> None:
    await end([])
    tasks = await begun(0)
    await end(tasks)
    await end(tasks)
