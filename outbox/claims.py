"""Claims: scheduled → queued and back. What the relay and the rescuer do to the ledger.

Refuses to know Redis: whoever claims also enqueues, and releases what it could not enqueue. `claim` is the one place
that decides who goes next.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from config.channels import CHANNELS, Channel
from config.database import Pool, run
from outbox.presence import ANNOUNCE_SECONDS
from outbox.queries import load

_SQL = load("claims")

CRASH_LIMIT = 3
"""After as many claims that ran out in a worker's hands, a message has failed: it kills whoever prepares it."""
CRASH_DELAY_SECONDS = 5.0
"""How long a message waits after the first crash; after the second, four times as long."""
BEAT_SECONDS = 2 * ANNOUNCE_SECONDS
"""By then a worker that lives has been seen again."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that was claimed."""

    id: str
    alone: bool
    """A worker crashed over it: whatever is wrong with it must not take others along."""


async def claim(
    pool: Pool,
    channel: Channel,
    *,
    limit: int,
    token: UUID,
    lease_seconds: float,
    late_after_seconds: float | None = None,
) -> list[Taken]:
    """Take up to `limit` due messages of one channel under a lease.

    scheduled → queued, called by the relay. Empty: nothing is due, or what is due is paused or another relay's. A
    message without `expires_at` gets one, `late_after_seconds` after the time at which it was first due.
    """
    rows = await run(
        pool,
        _SQL["claim"],
        channel=channel.value,
        provider=CHANNELS[channel].default_provider,
        limit=limit,
        token=token,
        lease_seconds=lease_seconds,
        late_after_seconds=late_after_seconds,
    )
    return [Taken(*row) for row in rows]


async def release(pool: Pool, ids: Sequence[str], token: UUID) -> int:
    """Give back what Redis did not take. queued → scheduled; returns how many were still this claim's."""
    return len(await run(pool, _SQL["release"], ids=list(ids), token=token))


async def rescue(pool: Pool, *, limit: int) -> int:
    """Give back messages whose claim ran out before a worker started them. queued → scheduled; returns how many.

    queued → failed / rejected, where that was the last crash that a message may cause.
    """
    parameters = {"crash_limit": CRASH_LIMIT, "crash_delay_seconds": CRASH_DELAY_SECONDS, "beat_seconds": BEAT_SECONDS}
    return len(await run(pool, _SQL["rescue"], limit=limit, **parameters))


async def next_due(pool: Pool) -> float | None:
    """Return in how many seconds the earliest scheduled message is due; None without any.

    Negative when overdue, infinite where the earliest waits for ever.
    """
    seconds: float | None = (await run(pool, _SQL["next_due"]))[0][0]
    return seconds


async def reject_unclaimable(pool: Pool, served: Collection[Channel], *, limit: int) -> int:
    """End messages whose channel does not exist. scheduled → failed / rejected; returns how many.

    A channel that exists and that no provider of this version serves is left alone: its messages wait.
    """
    strangers = [row[0] for row in await run(pool, _SQL["strangers"], known=list(Channel))]
    names = ", ".join(sorted(served))
    return len(await run(pool, _SQL["reject_unclaimable"], channels=strangers, served=names, limit=limit))
