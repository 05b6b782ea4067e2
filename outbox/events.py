"""Events: what vendors say of messages after they took them, stored once and applied as proof.

Owns the rule that proof is never dropped and never counts twice: an event is a row until it is applied, and applying it
again, late, or in another order comes to the same. Refuses to read callbacks: events come in the fleet's own words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from psycopg import Error

from config import log
from config.database import AWAY, Connection, Pool, repeated, run
from outbox import storable
from outbox.queries import load

_SQL = load("events")
_log = log.get(__name__)

TRIES = 20
"""With the waits below about a quarter of an hour: longer than any start waits for its settlement."""
WAIT_CAP_SECONDS = 60.0
ID_LIMIT = 200
"""Characters of a vendor's id; the longest that is known has 36."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One event, as it is stored. `tenant_id` is whose account signed it, the nil uuid for the environment's."""

    provider: str
    tenant_id: UUID
    event_id: str
    kind: str
    """accepted, delivered or undelivered."""
    provider_message_id: str
    message_id: UUID | None = None
    attempt_id: UUID | None = None
    code: str | None = None
    reason: str | None = None
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
    rows = orjson.dumps([_row(report) for report in reports]).decode()
    return len(await run(pool, _SQL["store"], rows=rows))


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
    except AWAY:
        raise
    except Error as refused:
        if len(ids) == 1:
            _log.error("event_refused", event_id=ids[0], error=type(refused).__name__)
            return await repeated(pool, lambda connection: _wait(connection, ids))
    # One by one none stops another: of two events that give one vendor's id to two attempts, the second sees the first.
    parts = [await apply(pool, [id_]) for id_ in ids]
    given_up = tuple(id_ for part in parts for id_ in part.given_up)
    return Applied(sum(part.applied for part in parts), sum(part.waiting for part in parts), given_up)


async def _apply(connection: Connection, ids: Sequence[int]) -> Applied:
    async with connection.transaction():
        found = await (await connection.execute(_SQL["apply_lock"], {"ids": list(ids)})).fetchall()
        for messages in _rounds(found):
            events = {"ids": list(messages.values()), "message_ids": list(messages)}
            await connection.execute(_SQL["apply"], events)
        return await _wait(connection, ids)


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
        "provider_message_id": storable.text(report.provider_message_id, ID_LIMIT),
        "message_id": report.message_id,
        "attempt_id": report.attempt_id,
        "code": None if report.code is None else storable.text(report.code),
        "reason": None if report.reason is None else storable.text(report.reason),
        "body": storable.answer(report.body),
    }
