"""Cancelling a scope: mark it, take back what was not started, wait for what was, lift the mark.

Owns the order of these steps. When `cancel` returns, no request of the scope is under way any more, save for the
replays of what it counts as unknown. Refuses to speak with vendors: what was started is theirs, or unknown.

A message that is inserted while the mark stands is held by it and stays scheduled: once the mark is lifted it is sent
like any other. One that is unknown may yet be completed by a replay, which is the same send as its start, but it gets
no new attempt by itself: its time is over (`expires_at`). A cancel that dies leaves its mark, with who and why; running
it again finishes.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from config.database import Pool, run
from outbox import storable
from outbox.queries import load
from outbox.scopes import Scope
from outbox.search import CHUNK

_SQL = load("cancellation")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be cancelled, for whom, and why."""

    scope: Scope
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Seen:
    """How a scope stands before it is cancelled."""

    waiting: int
    """Could be taken back."""
    sending: int
    marked: bool
    """A cancel of it is under way, or died."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a cancel is."""

    cancelled: int
    sending: int
    """With a vendor under a live lease; 0 before everything that waits is taken back."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What a cancel came to, in messages."""

    cancelled: int
    with_vendor: int
    """Were being sent when the mark was set, and were accepted."""
    unknown: int
    """All of the scope of which nobody can tell whether the vendor took them; a replay may still find out."""


Between = Callable[[Progress], Awaitable[None]]
"""Called after each chunk, and while messages are still being sent: reports, and waits a moment before the next look.

What it raises ends the cancel and leaves the mark.
"""


async def look(pool: Pool, scope: Scope) -> Seen:
    """Count what a cancel of the scope would meet; changes nothing."""
    return Seen(*(await run(pool, _SQL["seen"], **scope.parameters()))[0])


async def cancel(pool: Pool, order: Order, between: Between) -> Cancelled:
    """Cancel a scope. scheduled, queued → cancelled.

    The wait for what is being sent ends with its settlement or with its lease, whichever comes first.
    """
    marked_at = await _mark(pool, order)
    cancelled = await _take_back(pool, order, marked_at, 0, between)
    while under_way := await sending(pool, order.scope):
        await between(Progress(cancelled, under_way))
    # What was being sent may be waiting for its next attempt by now.
    cancelled += await _take_back(pool, order, marked_at, cancelled, between)
    return await _lift(pool, order, marked_at, cancelled)


async def _mark(pool: Pool, order: Order) -> datetime:
    rows = await run(pool, _SQL["mark"], **_signed(order))
    marked_at: datetime = rows[0][0]
    return marked_at


async def _take_back(pool: Pool, order: Order, marked_at: datetime, before: int, between: Between) -> int:
    """Cancel the scope chunk by chunk; return how many messages were. Each chunk is a transaction of its own."""
    cancelled = 0
    after: UUID | None = None
    while rows := await run(
        pool,
        _SQL["take_back"],
        **order.scope.parameters(),
        marked_at=marked_at,
        after=after,
        limit=CHUNK,
        why=storable.text(f"{order.reason} (by {order.actor}, with everything of {order.scope.key})"),
    ):
        after = max(row[0] for row in rows)
        cancelled += len(rows)
        await between(Progress(before + cancelled, 0))
    return cancelled


async def sending(pool: Pool, scope: Scope) -> int:
    """Count what of a scope is with a vendor under a lease that is alive."""
    return int((await run(pool, _SQL["sending"], **scope.parameters()))[0][0])


async def _lift(pool: Pool, order: Order, marked_at: datetime, cancelled: int) -> Cancelled:
    await run(pool, _SQL["end"], **order.scope.parameters())
    beyond = await run(pool, _SQL["beyond"], **order.scope.parameters(), marked_at=marked_at)
    ended = Cancelled(cancelled, *beyond[0])
    await run(
        pool,
        _SQL["lift"],
        **_signed(order),
        marked_at=marked_at,
        cancelled=ended.cancelled,
        with_vendor=ended.with_vendor,
        unknown=ended.unknown,
    )
    return ended


def _signed(order: Order) -> dict[str, object]:
    return {
        "scope_key": order.scope.key,
        "workspace_id": order.scope.workspace_id,
        "actor": order.actor,
        "reason": storable.text(order.reason),
    }
