"""What a recipient says on the page behind an unsubscribe link: no more of this, or do write again after all.

Owns how such a word becomes an event of the fleet's own: stored once however often it is repeated, and again when the
other word came in between. Refuses to suppress or release anything: the event does, when it is applied.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from config.channels import Channel
from config.database import Connection, Pool, repeated, run
from config.vocabulary import Kind
from outbox import events
from outbox.queries import load

_SQL = load("unsubscribing")


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a link is for, and in which message they got it."""

    workspace_id: UUID
    """Or the tenant, where the message has no workspace."""
    channel: Channel
    address: str = field(repr=False)
    """Normalised."""
    message_id: UUID


@dataclass(frozen=True, slots=True)
class _Said:
    is_unsubscribed: bool
    next_out: datetime
    """When an unsubscribing that is said now happens: not before the last word against it."""
    next_back: datetime
    last_out: int
    """Microseconds since the epoch, 0 where it was never said; like the next, part of an event's id."""
    last_back: int


async def is_unsubscribed(pool: Pool, who: Recipient) -> bool:
    """Tell what this recipient said last, whether or not it is applied yet."""
    (row,) = await run(pool, _SQL["last_words"], **_named(who))
    return _Said(*row).is_unsubscribed


async def unsubscribe(pool: Pool, who: Recipient, digest: str) -> bool:
    """Note that they want nothing more; return False where that was their last word already.

    `digest` names the link, in the event's id.
    """
    return await repeated(pool, lambda connection: _say(connection, who, Kind.UNSUBSCRIBED, digest))


async def resubscribe(pool: Pool, who: Recipient, digest: str) -> bool:
    """Note that they take their unsubscribing back; return False where there is none to take back."""
    return await repeated(pool, lambda connection: _say(connection, who, Kind.RESUBSCRIBED, digest))


async def _say(connection: Connection, who: Recipient, kind: Kind, digest: str) -> bool:
    """Store one word, unless it was the last one already; nobody else says anything for them meanwhile."""
    leaves = kind is Kind.UNSUBSCRIBED
    async with connection.transaction():
        await connection.execute(_SQL["take_turns"], _named(who))
        (row,) = await (await connection.execute(_SQL["last_words"], _named(who))).fetchall()
        said = _Said(*row)
        if said.is_unsubscribed == leaves:
            return False
        name, since = ("unsubscribe", said.last_back) if leaves else ("resubscribe", said.last_out)
        at = said.next_out if leaves else said.next_back
        return await events.store_in(connection, [_report(who, kind, f"{name}:{digest}:{since}", at)]) == 1


def _report(who: Recipient, kind: Kind, event_id: str, at: datetime) -> events.Report:
    return events.Report(
        provider=events.OURS,
        tenant_id=UUID(int=0),
        event_id=event_id,
        kind=kind,
        message_id=who.message_id,
        workspace_id=who.workspace_id,
        channel=who.channel,
        address=who.address,
        occurred_at=at,
    )


def _named(who: Recipient) -> dict[str, Any]:
    return {"workspace_id": who.workspace_id, "channel": who.channel, "address": who.address}
