"""Starts: queued → sending, or a refusal. The last moment at which the ledger can say no.

Owns the one transaction after which a message is with the vendor or unknown. Refuses to send: it returns what may be
sent, under which lease, and nothing of it has left yet.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from config.channels import CHANNELS, Channel
from config.database import Connection, Pool, repeated, run
from outbox.queries import load, uuids

_SQL = load("starts")

RECIPIENT_SECONDS = 10.0
"""How long a message waits before it asks again whether an earlier one to its recipient has found its end."""
TRAVELS_ALONE = frozenset({"batch_refused", "lease_expired"})
"""Error codes of an attempt after which a message no longer shares a request, whatever else befalls it."""
PAYLOAD_LIMIT_BYTES = 1_048_576
"""A larger payload is refused unread; attachments that large travel by URL."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message of a bundle, as its worker reads it before it renders."""

    id: UUID
    workspace_id: UUID | None
    tenant_id: UUID | None
    """The platform's tenant, or the workspace standing in for it."""
    provider: str | None
    address: str | None
    payload: str | None
    """As JSON text; None where there is none, or where it is larger than `PAYLOAD_LIMIT_BYTES`."""
    has_payload: bool
    seen: str
    """The row's version; a row that changed since is not started."""
    attempts: int
    travels_alone: bool
    """A request that it shared was refused as a whole, or a worker crashed over it: it no longer shares one."""
    counted: int
    """Attempts that have used up its budget so far."""
    campaign_id: UUID | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rendered message that asks to be started in the batch `send_key`."""

    id: UUID
    address: str | None
    seen: str
    send_key: UUID
    sender: str | None
    account: str
    account_tenant_id: UUID


@dataclass(frozen=True, slots=True)
class Batch:
    """What is started together for one account under one lease."""

    send_key: UUID
    provider: str
    account: str
    account_tenant_id: UUID
    member_ids: Sequence[UUID]
    addresses: Sequence[str | None]
    body: str | None
    """The exact request, compressed and in base64, where the vendor honours the key."""


Compose = Callable[[Sequence[UUID]], Sequence[Batch]]
"""From the messages that passed every refusal to their batches; called inside the start's transaction."""


async def read(pool: Pool, channel: Channel, ids: Sequence[str], token: UUID) -> list[Claimed]:
    """Return those messages of a bundle that are still its claim; the others are no longer this bundle's business."""
    rows = await run(
        pool,
        _SQL["read"],
        ids=uuids(ids),
        token=token,
        address=CHANNELS[channel].address or "",
        payload_bytes=PAYLOAD_LIMIT_BYTES,
        alone=list(TRAVELS_ALONE),
    )
    return [Claimed(*row) for row in rows]


async def reject(pool: Pool, token: UUID, refused: Sequence[Mapping[str, Any]]) -> None:
    """End messages that cannot be sent as they are: {id, error_code, error_message}. queued → failed / rejected."""
    await run(pool, _SQL["reject"], token=token, rows=_json(refused))


async def defer(pool: Pool, token: UUID, deferred: Sequence[Mapping[str, Any]]) -> None:
    """Put messages off whose account cannot send: {id, error_code, error_message, delay_seconds}.

    queued → scheduled; no attempt is spent. Or queued → failed / expired, where `expires_at` comes before that time.
    """
    await run(pool, _SQL["defer"], token=token, rows=_json(deferred))


async def start(
    pool: Pool,
    channel: Channel,
    token: UUID,
    candidates: Sequence[Candidate],
    compose: Compose,
    *,
    worker: UUID,
    lease: UUID,
    lease_seconds: float,
    default_provider: str,
) -> dict[UUID, int]:
    """Start what no refusal holds; return the attempt number of each message that was started.

    queued → sending, with its batch; or failed / expired, suppressed, scheduled (a pause, or an earlier message to
    the recipient whose outcome is still looked up). A candidate that is missing
    from the answer must not be sent: it was refused, or is no longer this claim's. Either all of it commits or nothing.
    """
    by_id = {str(candidate.id): candidate for candidate in candidates}
    wanted = _json([_wanted(candidate) for candidate in candidates])

    async def once(connection: Connection) -> dict[UUID, int]:
        async with connection.transaction():
            locking = {"rows": wanted, "token": token, "provider": default_provider}
            verdicts = await (await connection.execute(_SQL["start_lock"], locking)).fetchall()
            if not verdicts:
                return {}
            batches = compose([UUID(id_) for id_, verdict, _ in verdicts if verdict == "start"])
            opening = {
                "rows": _json([_decided(by_id[id_], verdict) for id_, verdict, _ in verdicts]),
                "batches": _json([_opened(batch) for batch in batches]),
                "channel": channel.value,
                "token": token,
                "worker": worker,
                "lease": lease,
                "lease_seconds": lease_seconds,
                "recipient_seconds": RECIPIENT_SECONDS,
            }
            opened = await (await connection.execute(_SQL["start_open"], opening)).fetchall()
        started = {id_ for id_, verdict, _ in verdicts if verdict == "start"}
        return {UUID(id_): number for id_, number in opened if id_ in started}

    return await repeated(pool, once)


async def confirm(pool: Pool, lease: UUID) -> dict[UUID, int]:
    """Return what a start under this lease has started, as `start` would have: its commit was not acknowledged."""
    return dict(await run(pool, _SQL["confirm"], lease=lease))


def _wanted(candidate: Candidate) -> dict[str, Any]:
    return {
        "id": candidate.id,
        "address": candidate.address,
        "seen": candidate.seen,
        "account": candidate.account,
        "account_tenant_id": candidate.account_tenant_id,
    }


def _decided(candidate: Candidate, verdict: str) -> dict[str, Any]:
    return {"id": candidate.id, "verdict": verdict, "send_key": candidate.send_key, "sender": candidate.sender}


def _opened(batch: Batch) -> dict[str, Any]:
    return {
        "send_key": batch.send_key,
        "provider": batch.provider,
        "account": batch.account,
        "account_tenant_id": batch.account_tenant_id,
        "member_ids": batch.member_ids,
        "addresses": batch.addresses,
        "body": batch.body,
    }


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    return orjson.dumps(rows).decode()
