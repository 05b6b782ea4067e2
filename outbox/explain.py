"""What the ledger knows of why one message is where it is. Refuses to judge: `admission.why` does.

Everything here is one message's, and bounded: it is read while support has somebody on the phone.
"""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from config.database import Pool, run
from outbox.queries import load
from outbox.scopes import Scope, keys_of

_SQL = load("explain")

COUNT_LIMIT = 100_000


@dataclass(frozen=True, slots=True)
class Facts:
    """One message, in the order of the statement's columns."""

    id: UUID
    status: str | None
    channel: str | None
    provider: str | None
    """That it names, or its channel's default."""
    workspace_id: UUID | None
    tenant_id: UUID | None
    campaign_id: UUID | None
    address: str | None = field(repr=False)
    due_at: datetime
    expires_at: datetime | None
    lease_expires_at: datetime | None
    attempts: int
    error_code: str | None
    error_message: str | None
    ended_at: datetime | None
    """When it found its end, or was sent."""
    send_key: UUID | None
    band: int
    now: datetime
    """The ledger's clock."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A pause, a hold, or the mark of a cancel that holds the message."""

    scope: str
    kind: str
    reason: str
    created_by: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Open:
    """An attempt whose outcome nobody knows yet."""

    message_id: UUID
    waits_for: str
    looks: int
    ended_at: datetime
    not_before: datetime | None


@dataclass(frozen=True, slots=True)
class Queue:
    """Where it stands among what is due on its channel."""

    ahead: int
    per_minute: int
    """Messages of the channel that were accepted in the last minute."""


async def facts(pool: Pool, id_: UUID) -> Facts | None:
    """Read the message; None where there is none."""
    rows = await run(pool, _SQL["facts"], id=id_, default_providers=Scope().parameters()["default_providers"])
    return Facts(*rows[0]) if rows else None


async def pauses(pool: Pool, message: Facts) -> list[Standing]:
    """Return what stands and holds it."""
    scopes = keys_of(message.channel or "", message.provider or "", message.workspace_id, message.campaign_id)
    return [Standing(*row) for row in await run(pool, _SQL["pauses"], scopes=sorted(scopes), due_at=message.due_at)]


async def halt(pool: Pool, provider: str, tenant_id: UUID) -> tuple[str, datetime] | None:
    """Return why an account (of a tenant; the nil uuid: the environment's) is halted, and until when."""
    rows = await run(pool, _SQL["halt"], provider=provider, tenant_id=tenant_id)
    return (rows[0][0], rows[0][1]) if rows else None


async def holder(pool: Pool, message: Facts) -> str | None:
    """Name the process that has it in hand, as host:pid."""
    rows = await run(pool, _SQL["holder"], id=message.id, send_key=message.send_key)
    return ":".join(map(str, rows[0])) if rows else None


async def batch(pool: Pool, message: Facts) -> tuple[datetime, bool] | None:
    """Return when its batch's lease ends, or when its replay is due, and which of the two it is (True: a replay)."""
    rows = await run(pool, _SQL["batch"], send_key=message.send_key)
    return (rows[0][0], rows[0][1]) if rows else None


async def unknowns(pool: Pool, message: Facts, address: str | None, account_tenant_id: UUID) -> list[Open]:
    """Return its own attempts of unknown outcome, and those to its recipient (`address` as it is sent to)."""
    rows = await run(
        pool,
        _SQL["unknowns"],
        id=message.id,
        address=address,
        channel=message.channel,
        account=account_tenant_id,
    )
    return [Open(*row) for row in rows]


async def queue(pool: Pool, message: Facts) -> Queue:
    """Count what goes before it, up to `COUNT_LIMIT`."""
    rows = await run(
        pool, _SQL["ahead"], channel=message.channel, band=message.band, due_at=message.due_at, limit=COUNT_LIMIT
    )
    return Queue(*rows[0])
