"""Unknown attempts: what becomes of a message when nobody can tell whether its vendor took it.

Owns the rules by which a look at the vendor's record ends an unknown outcome; a person's word is in
`outbox.decisions`. Refuses to ask the vendor and to match its record with our attempts: both are handed in. Where the
vendor honours the send key, none of this is needed: its batch is replayed (`outbox.batches`).

An attempt's `resolution`: accepted (proof came), absent (the record shows no trace of it), arrived and sent again
(a person said so).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson

from config.catalog import CATALOG
from config.channels import Channel
from config.database import Connection, Pool, repeated, run
from outbox import storable
from outbox.polls import POLLED
from outbox.queries import load

_SQL = load("unknowns")

ASKABLE = [name for name, facts in CATALOG.items() if facts.askable]
IDEMPOTENT = [name for name, facts in CATALOG.items() if facts.idempotent]
LOOKS = 3
"""So many looks without a trace make an attempt absent, the last of them past the horizon."""
DEADLY_LEASES = 3
"""A message whose worker died so often while sending it is not tried again."""


@dataclass(frozen=True, slots=True)
class Patience:
    """When a vendor's record is looked at, in seconds after the request can have left last."""

    grace_seconds: float
    """Until the first look."""
    horizon_seconds: float
    """By then the vendor's record shows whatever it accepted: an assumption, stated in docs/guarantees.md."""

    @property
    def waits_seconds(self) -> list[float]:
        """The moments of the looks."""
        return [self.grace_seconds, 3 * self.grace_seconds, max(10 * self.grace_seconds, self.horizon_seconds)]


@dataclass(frozen=True, slots=True)
class Unknown:
    """One attempt that may have reached its vendor between two moments."""

    attempt_id: UUID
    message_id: UUID
    send_key: UUID
    channel: Channel
    provider: str
    account: str
    """Fingerprint of the credentials it was made under; only their holder can be asked."""
    account_tenant_id: UUID
    address: str
    sender: str | None
    started_at: datetime
    ended_at: datetime
    payload: str | None = field(default=None, repr=False)
    """As JSON text, as it was rendered: nobody may change it meanwhile."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Attempts to one address of one channel under one account are looked up together."""

    channel: Channel
    provider: str
    account: str
    account_tenant_id: UUID
    address: str


class Verdict(StrEnum):
    """What one look at the vendor's record says of an attempt."""

    FOUND = "found"
    ABSENT = "absent"
    """No trace of it, and nothing in the record that it could be."""
    AMBIGUOUS = "ambiguous"
    """The record shows messages to the recipient that fit none of ours: a person must decide."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One attempt's verdict, with the vendor's record of it where it was found."""

    attempt_id: UUID
    verdict: Verdict
    provider_message_id: str | None = None
    answer: Any = field(default=None, repr=False)
    accepted_at: datetime | None = None


Judge = Callable[[Sequence[Unknown], frozenset[str]], Sequence[Finding]]
"""From the recipient's unknown attempts and the vendor ids that are other attempts' already, to findings. It computes
and nothing else; called inside the resolving transaction, again where that is repeated."""


async def claim(
    pool: Pool, channel: Channel, token: UUID, patience: Patience, *, lease_seconds: float, limit: int
) -> list[str]:
    """Take the attempts of a channel that are due for a look; return their ids. Called by the scheduler."""
    rows = await run(
        pool,
        _SQL["claim"],
        channel=channel.value,
        token=token,
        waits=patience.waits_seconds,
        lease_seconds=lease_seconds,
        limit=limit,
    )
    return [attempt_id for (attempt_id,) in rows]


async def read(pool: Pool, ids: Sequence[str], token: UUID) -> dict[Recipient, list[UUID]]:
    """Return what of a bundle is still its claim: the attempt ids by recipient."""
    found: dict[Recipient, list[UUID]] = {}
    for row in await run(pool, _SQL["read"], ids=list(ids), token=token):
        one = _unknown(row)
        key = Recipient(one.channel, one.provider, one.account, one.account_tenant_id, one.address)
        found.setdefault(key, []).append(one.attempt_id)
    return found


async def postpone(pool: Pool, ids: Sequence[UUID], token: UUID, *, delay_seconds: float) -> None:
    """Put looks off without counting them."""
    await run(pool, _SQL["postpone"], ids=list(ids), token=token, delay_seconds=delay_seconds)


async def leave(
    pool: Pool, ids: Sequence[UUID], token: UUID, patience: Patience, *, code: str, reason: str, delay_seconds: float
) -> None:
    """Leave attempts to a person that cannot be looked up; before the horizon it is only put off."""
    await run(
        pool,
        _SQL["leave"],
        ids=list(ids),
        token=token,
        code=code,
        reason=reason,
        horizon_seconds=patience.horizon_seconds,
        delay_seconds=delay_seconds,
    )


async def members(pool: Pool, recipient: Recipient) -> list[Unknown]:
    """Return the recipient's unknown attempts; empty while something is under way to them, or none is left.

    What is under way may be in the vendor's record before its answer is in the ledger, and would be taken for another.
    """

    async def once(connection: Connection) -> list[Unknown]:
        async with connection.transaction():
            return await _members(connection, recipient)

    return await repeated(pool, once)


async def resolve(
    pool: Pool,
    recipient: Recipient,
    vendor_ids: Sequence[str],
    judge: Judge,
    patience: Patience,
    *,
    max_attempts: int,
    resend_after_absent: bool,
) -> int | None:
    """Write what a look has found, one look at a vendor at a time; return how many messages found their end.

    unknown → sent, scheduled or failed. None: something is under way to the recipient, and nothing was decided.
    """

    async def once(connection: Connection) -> int | None:
        async with connection.transaction():
            await connection.execute(_SQL["lock_record"], {"provider": recipient.provider})
            unknown = await _members(connection, recipient)
            if not unknown:
                return None
            known = await (
                await connection.execute(
                    _SQL["known"], {"provider": recipient.provider, "vendor_ids": list(vendor_ids)}
                )
            ).fetchall()
            parameters = {
                "rows": _json(judge(unknown, frozenset(row[0] for row in known))),
                "looks": LOOKS,
                "max_deaths": DEADLY_LEASES,
                "max_attempts": max_attempts,
                "horizon_seconds": patience.horizon_seconds,
                "again_seconds": patience.grace_seconds,
                "resend": resend_after_absent,
                "polled": POLLED,
            }
            return len(await (await connection.execute(_SQL["resolve"], parameters)).fetchall())

    return await repeated(pool, once)


async def _members(connection: Connection, recipient: Recipient) -> list[Unknown]:
    parameters = _parameters(recipient)
    busy = await (await connection.execute(_SQL["busy"], parameters)).fetchone()
    if busy is None or busy[0]:
        return []
    rows = await (await connection.execute(_SQL["members"], parameters)).fetchall()
    return [_unknown(row) for row in rows]


def _parameters(recipient: Recipient) -> dict[str, Any]:
    return {"account": recipient.account, "channel": recipient.channel.value, "address": recipient.address}


def _unknown(row: Sequence[Any]) -> Unknown:
    attempt_id, message_id, send_key, channel, *rest = row
    return Unknown(attempt_id, message_id, send_key, Channel(channel), *rest)


def _json(findings: Sequence[Finding]) -> str:
    rows = [
        {
            "attempt_id": one.attempt_id,
            "verdict": one.verdict,
            "provider_message_id": one.provider_message_id and storable.text(one.provider_message_id),
            "response": None if one.answer is None else storable.answer(one.answer),
            "accepted_at": one.accepted_at,
        }
        for one in findings
    ]
    return orjson.dumps(rows).decode()
