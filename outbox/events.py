"""Events: what vendors say of messages after they took them, stored once and applied as proof.

Owns the rule that proof is never dropped and never counts twice: an event is a row until it is applied, and applying it
again, late, or in another order comes to the same. Refuses to read callbacks: events come in the fleet's own words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from psycopg import Error

from config import log
from config.channels import Channel
from config.database import Connection, Pool, is_refusal, repeated, run
from config.vocabulary import KINDS, Kind
from outbox import effects, storable
from outbox.polls import POLLED
from outbox.queries import load

_SQL = load("events")
_log = log.get(__name__)

TRIES = 20
"""With the waits below about a quarter of an hour: longer than any start waits for its settlement."""
WAIT_CAP_SECONDS = 60.0
ID_LIMIT = 200
"""Characters of a vendor's id; the longest that is known has 36."""
DETAILS_LIMIT_BYTES = 262_144
"""A transcript of two hours has about half of that."""
ANSWER_DAYS = 90
"""Whoever writes or calls within so many days answers the last message that was sent to them."""
ADDRESS_LIMIT = 320
REMAINING = [kind.value for kind, facts in KINDS.items() if facts.remains]
"""The kinds that a delivered message shows, the graver ones first."""
OURS = "fleet"
"""The provider of events that the fleet itself stores."""
KNOWN = {"remaining": REMAINING, "polled": POLLED}
"""What `apply` is told beside the events: which kinds remain on a message, which vendors are polled."""
_PEOPLE = {"days": ANSWER_DAYS, "ours": OURS, "nobody": UUID(int=0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One event, as it is stored. `tenant_id` is whose account signed it, the nil uuid for the environment's."""

    provider: str
    tenant_id: UUID
    event_id: str
    kind: Kind
    provider_message_id: str | None = None
    message_id: UUID | None = None
    attempt_id: UUID | None = None
    workspace_id: UUID | None = None
    """Set only by the fleet itself: a vendor's event has that of its message."""
    channel: Channel | None = None
    address: str | None = field(default=None, repr=False)
    """The other side, normalised."""
    our_address: str | None = None
    code: str | None = None
    reason: str | None = None
    occurred_at: datetime | None = None
    """By the vendor's clock, at most when it is stored; None: when it is stored."""
    details: Any = field(default=None, repr=False)
    """What was read out of a call or a reply, JSON-like."""
    body: Any = field(default=None, repr=False)
    """What the vendor said, JSON-like; made storable on its way in."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a bundle: how many events were applied, how many wait, and which were given up for a person."""

    applied: int = 0
    waiting: int = 0
    given_up: tuple[int, ...] = ()


async def store(pool: Pool, reports: Sequence[Report]) -> int:
    """Keep events until they are applied; return how many were new. Those that were stored before change nothing."""
    return await store_encoded(pool, [encoded(reports)])


async def store_encoded(pool: Pool, parts: Sequence[bytes]) -> int:
    """Keep what `encoded` made, all of it in one statement, as `store` does."""
    return await repeated(pool, lambda connection: _store(connection, parts))


async def store_in(connection: Connection, reports: Sequence[Report]) -> int:
    """Keep events as `store` does, in the transaction that the connection is in."""
    return await _store(connection, [encoded(reports)])


async def _store(connection: Connection, parts: Sequence[bytes]) -> int:
    rows = (b"[" + b",".join(parts) + b"]").decode()
    return len(await (await connection.execute(_SQL["store"], {"rows": rows, "ours": OURS})).fetchall())


def encoded(reports: Sequence[Report]) -> bytes:
    """Return at least one event as `store_encoded` takes it: what is dear is done before anybody waits for a round."""
    return orjson.dumps([_row(report) for report in reports])[1:-1]


def without_words(report: Report) -> Report:
    """Return the event with its ids, its kind and whose it is, and nothing of what the vendor says in its own words."""
    return replace(report, code=None, reason=None, details=None, occurred_at=None, body={"unstorable": True})


async def claim(pool: Pool, *, limit: int, lease_seconds: float) -> list[int]:
    """Take events that are due for `lease_seconds`, the earliest first; return their ids."""
    return [row[0] for row in await run(pool, _SQL["claim"], limit=limit, lease_seconds=lease_seconds)]


async def release(pool: Pool, ids: Sequence[int], *, delay_seconds: float) -> None:
    """Give back what Redis did not take."""
    await run(pool, _SQL["release"], ids=list(ids), delay_seconds=delay_seconds)


async def apply(pool: Pool, ids: Sequence[int]) -> Applied:
    """Apply stored events to their attempts and messages; what cannot be applied yet is put off.

    scheduled, queued, unknown, sent, failed → sent, delivered or failed / undelivered. Raises what `AWAY` names where
    the database is not there: nothing is lost, the events are due again when their claim has run out.
    """
    try:
        return await repeated(pool, lambda connection: _apply(connection, ids))
    except Error as refused:
        if not is_refusal(refused):
            raise
        if len(ids) == 1:
            _log.error("event_refused", event_id=ids[0], error=type(refused).__name__)
            return await repeated(pool, lambda connection: _wait(connection, ids))
    # One by one none stops another: of two events that give one vendor's id to two attempts, the second sees the first.
    parts = [await apply(pool, [id_]) for id_ in ids]
    given_up = tuple(id_ for part in parts for id_ in part.given_up)
    return Applied(sum(part.applied for part in parts), sum(part.waiting for part in parts), given_up)


async def _apply(connection: Connection, ids: Sequence[int]) -> Applied:
    """Apply what proves something, and then what is of a person, each with what it means in a transaction of its own.

    Both lock messages in the order of their ids, and neither asks for more of them after that: so none of them meets a
    settlement or a cancel in a deadlock.
    """
    async with connection.transaction():
        await _take(connection, await _proven(connection, ids))
    async with connection.transaction():
        attached = await connection.execute(_SQL["attach"], {"ids": list(ids), **_PEOPLE})
        await _take(connection, [row[0] for row in await attached.fetchall()])
        return await _wait(connection, ids)


async def _proven(connection: Connection, ids: Sequence[int]) -> list[int]:
    found = await (await connection.execute(_SQL["apply_lock"], {"ids": list(ids)})).fetchall()
    applied: list[int] = []
    for messages in _rounds(found):
        events = {"ids": list(messages.values()), "message_ids": list(messages), **KNOWN}
        told = await (await connection.execute(_SQL["apply"], events)).fetchall()
        applied += [id_ for id_, is_applied in told if is_applied]
    return applied


async def _take(connection: Connection, applied: Sequence[int]) -> None:
    if applied:
        await effects.take(connection, applied)


async def _wait(connection: Connection, ids: Sequence[int]) -> Applied:
    """Put off those of the events that are not applied."""
    limits = {"ids": list(ids), "tries": TRIES, "cap_seconds": WAIT_CAP_SECONDS}
    left = await (await connection.execute(_SQL["wait"], limits)).fetchall()
    given_up = tuple(id_ for id_, is_given_up in left if is_given_up)
    return Applied(len(ids) - len(left), len(left) - len(given_up), given_up)


def _rounds(found: Sequence[tuple[int, UUID]]) -> list[dict[UUID, int]]:
    """Deal (event, message) into rounds of message → event: one statement sees a message once, the next its result."""
    rounds: list[dict[UUID, int]] = []
    for event_id, message_id in found:
        free = next((one for one in rounds if message_id not in one), None)
        if free is None:
            rounds.append(free := {})
        free[message_id] = event_id
    return rounds


def _row(report: Report) -> dict[str, Any]:
    return {
        "provider": report.provider,
        "tenant_id": report.tenant_id,
        "event_id": storable.text(report.event_id, ID_LIMIT),
        "kind": report.kind,
        "proves": KINDS[report.kind].proves,
        "provider_message_id": _text(report.provider_message_id, ID_LIMIT),
        "message_id": report.message_id,
        "attempt_id": report.attempt_id,
        "workspace_id": report.workspace_id,
        "channel": report.channel,
        "address": _text(report.address, ADDRESS_LIMIT),
        "our_address": _text(report.our_address, ADDRESS_LIMIT),
        "code": _text(report.code),
        "reason": _text(report.reason),
        "occurred_at": report.occurred_at,
        "details": storable.answer(report.details, DETAILS_LIMIT_BYTES),
        "body": storable.answer(report.body),
    }


def _text(value: str | None, limit: int = storable.TEXT_LIMIT) -> str | None:
    return None if value is None else storable.text(value, limit)
