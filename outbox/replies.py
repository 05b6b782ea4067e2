"""Replies: what people answered, for support to read.

Owns the reading. They are written, and end sequences, where events take effect (`outbox/effects.py`). What a person
wrote is a message's body: it is shown to whoever asks for it, and never logged.
"""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from config.database import Pool, run
from outbox.queries import load

_SQL = load("replies")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    event_id: int
    workspace_id: UUID
    channel: str | None
    address: str | None = field(repr=False)
    """Who wrote, normalised."""
    message_id: UUID | None
    """What it answers: the last message that was sent to that address. None where there is none."""
    campaign_id: UUID | None
    lead_id: UUID | None
    text: str | None = field(repr=False)
    """None where the vendor did not pass it on."""
    received_at: datetime


async def find(
    pool: Pool,
    *,
    workspace_id: UUID | None = None,
    message_id: UUID | None = None,
    limit: int,
    after: Reply | None = None,
) -> list[Reply]:
    """Return up to `limit` replies, the latest first, those after `after` in that order."""
    rows = await run(
        pool,
        _SQL["find"],
        workspace_id=workspace_id,
        message_id=message_id,
        limit=limit,
        after_at=after.received_at if after else None,
        after_id=after.event_id if after else None,
    )
    return [Reply(*row) for row in rows]
