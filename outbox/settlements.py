"""Settlements: sending → sent, failed, scheduled or unknown. Closes attempts with what the vendor said.

Owns the statement that no row can poison: where the database refuses it, the rows are halved until the one that it
refuses stands alone, and that one settles without its answer, or not at all. A settlement under a lost lease changes
nothing.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import orjson
from psycopg import Error

from config import log
from config.database import AWAY, Connection, Pool, repeated
from outbox import storable
from outbox.queries import load
from outbox.states import Status
from outbox.unknowns import ASKABLE, IDEMPOTENT

_SQL = load("starts")

UNSTORABLE = "unstorable_answer"

_log = log.get(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What became of one message under one send key."""

    id: UUID
    send_key: UUID
    lease: UUID
    status: Status
    outcome: str
    """accepted, rejected, later, unknown or halted."""
    provider: str
    account: str
    account_tenant_id: UUID
    """Whose credentials; the nil id for the environment's."""
    address: str | None = None
    """Normalised; where the outcome is unknown, the vendor is asked about it."""
    sender: str | None = None
    response: Any = None
    """The vendor's answer, as it came; made storable on its way in."""
    provider_message_id: str | None = None
    error_class: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    http_status: int | None = None
    recipient_stopped: bool = False
    """The vendor refused it because the recipient wants nothing any more."""
    counted: bool = True
    tried_before: bool = False
    """An event may prove one of its earlier tries while this one is settled."""
    delay_seconds: float = 0.0
    """Where it is scheduled again: after how long."""
    elapsed_seconds: float = 0.0
    """How long the request took."""
    settled_at: float = field(default_factory=time.monotonic)
    """When the answer came, on this process's clock: a settlement may be held while the database restarts."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A batch whose members all have their settlement in this call, or earlier."""

    send_key: UUID
    lease: UUID
    replay_after_seconds: float | None = None
    """Where it must be replayed: after how long. Otherwise it goes."""


async def settle(pool: Pool, settlements: Sequence[Settlement], ended: Sequence[Ended], *, worker: str) -> set[UUID]:
    """Write the settlements and end the batches; return the ids of the messages that were settled.

    A missing id means that the batch's lease is another's by now, that proof came first, or that the database takes
    nothing for this row (a trigger of the platform's may refuse it). Raises what `AWAY` names where the database is not
    there: nothing is lost by calling again with the same arguments.
    """
    try:
        return await _write(pool, settlements, ended, worker)
    except AWAY:
        raise
    except Error as refused:
        if len(settlements) <= 1:
            return await _without(pool, settlements, ended, worker, refused)
    middle = len(settlements) // 2
    # The batches end with the second half: until then their leases must hold.
    first = await settle(pool, settlements[:middle], [], worker=worker)
    return first | await settle(pool, settlements[middle:], ended, worker=worker)


async def _without(
    pool: Pool, settlements: Sequence[Settlement], ended: Sequence[Ended], worker: str, refused: Error
) -> set[UUID]:
    """Settle one row without its answer; where that is refused as well, leave it to its batch's end."""
    bare = [_without_answer(one) for one in settlements if one.error_code != UNSTORABLE]
    if bare:
        return await settle(pool, bare, ended, worker=worker)
    if not settlements:
        raise refused
    _log.error("settlement_refused", message_id=str(settlements[0].id), error=type(refused).__name__)
    return await _write(pool, [], ended, worker)


async def _write(pool: Pool, settlements: Sequence[Settlement], ended: Sequence[Ended], worker: str) -> set[UUID]:
    finished = [{"send_key": one.send_key, "lease": one.lease} for one in ended if one.replay_after_seconds is None]
    kept = [
        {"send_key": one.send_key, "lease": one.lease, "delay_seconds": one.replay_after_seconds}
        for one in ended
        if one.replay_after_seconds is not None
    ]
    parameters = {
        "rows": _json([_row(settlement) for settlement in settlements]),
        "finished": _json(finished),
        "kept": _json(kept),
        "worker": worker,
        "askable": ASKABLE,
        "idempotent": IDEMPOTENT,
    }
    if not any(settlement.tried_before for settlement in settlements):
        return await repeated(pool, lambda connection: _execute(connection, parameters))
    return await repeated(pool, lambda connection: _locked(connection, parameters))


async def _execute(connection: Connection, parameters: Mapping[str, Any]) -> set[UUID]:
    cursor = await connection.execute(_SQL["settle"], parameters)
    return {UUID(row[0]) for row in await cursor.fetchall()}


async def _locked(connection: Connection, parameters: Mapping[str, Any]) -> set[UUID]:
    async with connection.transaction():
        await connection.execute(_SQL["settle_lock"], {"rows": parameters["rows"]})
        return await _execute(connection, parameters)


def _row(settlement: Settlement) -> dict[str, Any]:
    return {
        "id": settlement.id,
        "send_key": settlement.send_key,
        "lease": settlement.lease,
        "status": settlement.status,
        "outcome": settlement.outcome,
        "provider": settlement.provider,
        "account": settlement.account,
        "account_tenant_id": settlement.account_tenant_id,
        "address": settlement.address,
        "sender": settlement.sender,
        "response": storable.answer(settlement.response) if settlement.response is not None else None,
        "provider_message_id": _text(settlement.provider_message_id),
        "error_class": settlement.error_class,
        "error_code": _text(settlement.error_code),
        "error_message": _text(settlement.error_message),
        "http_status": settlement.http_status,
        "counted": settlement.counted,
        "delay_seconds": settlement.delay_seconds,
        "elapsed_seconds": settlement.elapsed_seconds,
        "age_seconds": time.monotonic() - settlement.settled_at,
    }


def _text(value: str | None) -> str | None:
    return None if value is None else storable.text(value)


def _without_answer(settlement: Settlement) -> Settlement:
    """Keep what we decided ourselves; drop everything that the vendor wrote."""
    return replace(
        settlement,
        response={"unstorable": True},
        provider_message_id=None,
        error_code=UNSTORABLE,
        error_message="the vendor's answer could not be stored",
    )


def _json(rows: Sequence[dict[str, Any]]) -> str:
    return orjson.dumps(rows).decode()
