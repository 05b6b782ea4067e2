"""Finding messages, and correcting those that may still be corrected. What `fleet messages` and jobs call.

Owns the filter: the same one lists, retries and cancels, so that what a person saw is what is changed. Refuses to
touch a message that is with a vendor.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from config.database import Pool, run
from outbox.queries import load
from outbox.states import Status

_SQL = load("search")

CHUNK = 2_000
"""Rows changed in one statement: a larger one would hold every start behind its locks."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages; what is None matches all."""

    ids: Sequence[UUID] | None = None
    statuses: Sequence[Status] | None = None
    channel: str | None = None
    provider: str | None = None
    workspace_id: UUID | None = None
    campaign_id: UUID | None = None
    error_code: str | None = None
    recipient: str | None = None
    since: datetime | None = None
    """Created at or after."""
    until: datetime | None = None
    """Created before."""


@dataclass(frozen=True, slots=True)
class Found:
    """One message in a list."""

    id: UUID
    workspace_id: UUID | None
    tenant_id: UUID | None
    channel: str | None
    provider: str | None
    status: str | None
    recipient: str | None = field(repr=False)
    due_at: datetime
    created_at: datetime | None
    """None where whoever inserted it said so."""
    sent_at: datetime | None
    finalized_at: datetime | None
    attempts: int
    error_class: str | None
    error_code: str | None
    error_message: str | None
    provider_message_id: str | None
    campaign_id: UUID | None


async def find(pool: Pool, wanted: Filter, *, limit: int, after: Found | None = None) -> list[Found]:
    """Return up to `limit` messages, newest first, those after `after` in that order."""
    parameters = {
        **asdict(wanted),
        "statuses": None if wanted.statuses is None else [status.value for status in wanted.statuses],
        "ids": None if wanted.ids is None else list(wanted.ids),
    }
    rows = await run(
        pool,
        _SQL["find"],
        **parameters,
        limit=limit,
        after_at=after.created_at if after else None,
        after_id=after.id if after else None,
    )
    return [Found(*row) for row in rows]


async def read(pool: Pool, id_: UUID) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """Return one message with every column, and its attempts in order; None where there is no such message."""
    rows = await run(pool, _SQL["read"], id=id_)
    if not rows:
        return None
    attempts = await run(pool, _SQL["attempts"], id=id_)
    return rows[0][0], [row[0] for row in attempts]


async def events_of(pool: Pool, id_: UUID) -> list[dict[str, Any]]:
    """Return what vendors said of a message, the earliest first: when, who, which kind, and why."""
    return [row[0] for row in await run(pool, _SQL["events"], id=id_)]


async def chunks(pool: Pool, wanted: Filter) -> AsyncIterator[list[UUID]]:
    """Yield the ids of all messages that match, in pieces that one statement may change."""
    after: Found | None = None
    while found := await find(pool, wanted, limit=CHUNK, after=after):
        yield [one.id for one in found]
        after = found[-1]


async def retry(pool: Pool, ids: Sequence[UUID], *, actor: str, before: datetime | None = None) -> set[UUID]:
    """Schedule failed messages again, now, with a fresh budget; return which were.

    failed → scheduled. `before`: only those that had failed by then, so that a repeated job retries nothing twice.
    """
    rows = await run(pool, _SQL["retry"], ids=list(ids), actor=actor, before=before)
    return {row[0] for row in rows}


async def cancel(pool: Pool, ids: Sequence[UUID], *, actor: str, reason: str | None = None) -> set[UUID]:
    """Take messages back that were not started; return which were. scheduled, queued → cancelled."""
    return {row[0] for row in await run(pool, _SQL["cancel"], ids=list(ids), actor=actor, reason=reason)}
