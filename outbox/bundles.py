"""Bundles in hand: which messages a worker is preparing at this moment, so that a crash over one of them is noticed.

Owns the note that a worker makes before it renders a bundle and takes back afterwards. Refuses to decide anything by
it: the rescuer counts a claim that ran out under such a note as a crash, unless the worker was seen afterwards, and so
was only slow; one without is an accident of the queue.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from uuid import UUID, uuid4

from config.database import AWAY, Pool, run
from outbox.queries import load, uuids

_SQL = load("bundles")


@asynccontextmanager
async def in_hand(pool: Pool, worker: UUID, token: UUID, message_ids: Sequence[str]) -> AsyncIterator[None]:
    """Note that `worker` prepares these messages of the claim `token`, for the length of the block.

    Where the block does not end, the note stays; where it ends in an error of ours, the note says so: what happens to a
    bundle once happens to it again. A database that goes away, and a worker that is told to end, are no such errors.
    """
    id_ = uuid4()
    await run(pool, _SQL["take"], id=id_, token=token, message_ids=uuids(message_ids), worker=worker)
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit, *AWAY):
        raise
    except BaseException:
        with suppress(*AWAY):
            await run(pool, _SQL["broke"], id=id_)
        raise
    await run(pool, _SQL["put_down"], id=id_)


async def prune(pool: Pool) -> None:
    """Forget notes whose claims have long run out."""
    await run(pool, _SQL["prune"])
