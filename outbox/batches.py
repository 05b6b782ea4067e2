"""Batches after their start: renewal, leases that ran out, replays.

Owns what becomes of a batch whose worker went silent. Refuses to send: a replay is handed to a worker by its key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson

from config.catalog import CATALOG
from config.channels import Channel
from config.database import Pool, run
from outbox.queries import load
from outbox.unknowns import ASKABLE

_SQL = load("batches")

KEY_SECONDS = {name: facts.key_seconds for name, facts in CATALOG.items() if facts.idempotent}
"""By provider, for the vendors that honour our key: how long after its first use a replay is safe."""


@dataclass(frozen=True, slots=True)
class Expired:
    """A batch whose lease ran out: how many of its members are unknown now, and whether it will be replayed."""

    send_key: UUID
    replayable: bool
    unknown: int


@dataclass(frozen=True, slots=True)
class Replay:
    """A batch that its worker must send once more, byte for byte."""

    provider: str
    account: str
    account_tenant_id: UUID
    member_ids: Sequence[UUID]
    body: bytes
    """Compressed."""
    replays: int
    senders: Mapping[str, str | None]
    """Message id → sender, of the members that are still unknown."""


async def renew(pool: Pool, leases: Mapping[UUID, UUID], lease_seconds: float) -> set[UUID]:
    """Give batches in flight (send key → lease) a fresh lease; return the send keys that are still ours."""
    rows = orjson.dumps([{"send_key": key, "lease": lease} for key, lease in leases.items()]).decode()
    return {UUID(row[0]) for row in await run(pool, _SQL["renew"], rows=rows, lease_seconds=lease_seconds)}


async def expire(pool: Pool, *, margin_seconds: float, limit: int) -> list[Expired]:
    """Take batches from workers that went silent. sending → unknown; called by the rescuer. Empty: all are alive."""
    rows = await run(
        pool,
        _SQL["expire"],
        key_seconds=_key_seconds(),
        askable=ASKABLE,
        margin_seconds=margin_seconds,
        limit=limit,
    )
    return [Expired(*row) for row in rows]


async def claim_replays(pool: Pool, token: UUID, *, lease_seconds: float, limit: int) -> list[tuple[str, Channel]]:
    """Take the batches whose replay is due; return (send key, channel). Called by the rescuer, which enqueues them."""
    rows = await run(
        pool,
        _SQL["claim_replays"],
        token=token,
        lease_seconds=lease_seconds,
        key_seconds=_key_seconds(),
        limit=limit,
    )
    return [(send_key, Channel(channel)) for send_key, channel in rows]


async def begin_replay(
    pool: Pool, send_key: UUID, token: UUID, *, worker: UUID, lease: UUID, lease_seconds: float
) -> Replay | None:
    """Take a replay over from the queue under a lease of its own and count the request; called by the worker.

    None: its claim ran out, or a person closed it; nothing may be sent.
    """
    rows = await run(
        pool,
        _SQL["begin_replay"],
        send_key=send_key,
        token=token,
        worker=worker,
        lease=lease,
        lease_seconds=lease_seconds,
    )
    return Replay(*rows[0][:7]) if rows else None


async def postpone_replays(pool: Pool, send_keys: Sequence[UUID], token: UUID, *, delay_seconds: float) -> None:
    """Give replays back that were claimed and not begun."""
    await run(pool, _SQL["postpone_replay"], send_keys=list(send_keys), token=token, delay_seconds=delay_seconds)


async def withdraw_replay(pool: Pool, send_key: UUID, lease: UUID, *, delay_seconds: float) -> None:
    """Give a replay back that was begun and made no request: it does not count."""
    await run(pool, _SQL["withdraw_replay"], send_key=send_key, lease=lease, delay_seconds=delay_seconds)


async def close_old(pool: Pool) -> int:
    """End the replays of batches that the vendor may have forgotten; their members stay unknown, for a look-up."""
    return len(await run(pool, _SQL["close"], key_seconds=_key_seconds(), askable=ASKABLE))


async def mark_orphans(pool: Pool, *, lease_seconds: float, limit: int) -> int:
    """Mark messages that are sending without a batch. sending → unknown; returns how many."""
    return len(await run(pool, _SQL["orphans"], lease_seconds=lease_seconds, limit=limit))


def _key_seconds() -> str:
    return orjson.dumps(KEY_SECONDS).decode()
