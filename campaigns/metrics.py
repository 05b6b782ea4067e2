"""Campaign figures: how many messages were sent, delivered, opened, clicked, bounced, and unsubscribed from.

Owns what each figure means (docs/campaign-metrics.md) and when a campaign is counted again. Every figure is counted
from the ledger and the events and none is ever added up, so that counting twice, late or from scratch comes to the
same. Refuses every other column of `campaign_metrics`, and rows of demonstration figures.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import UUID, uuid5

import orjson
from psycopg import Error

from config import log
from config.database import Connection, Pool, is_refusal, repeated, run
from config.vocabulary import Kind
from outbox.queries import load

_SQL = load("metrics", package="campaigns")
_log = log.get(__name__)

REST_SECONDS = 5.0
"""Between two counts of one campaign, at least."""
REST_PER_SECOND = 20.0
"""Seconds of rest after each second of counting: a campaign costs at most a twentieth of one connection."""
REFUSED_SECONDS = 600.0
"""Until the next try, where the database takes no figures for a campaign."""
PATIENCE_SECONDS = 600
"""How long one count may take."""
LOCK_SECONDS = 5
"""How long it waits for a row of figures that somebody else holds."""
NOWHERE = UUID(int=0)

_KINDS: Mapping[str, Any] = {
    "opened": Kind.OPENED,
    "clicked": Kind.CLICKED,
    "bounced": Kind.BOUNCED,
    "soft": Kind.SOFT_BOUNCED,
    "unsubscribed": [Kind.UNSUBSCRIBED.value, Kind.STOPPED.value],
}
_COUNTED = {
    **_KINDS,
    "kinds": [Kind.OPENED, Kind.CLICKED, Kind.BOUNCED, Kind.SOFT_BOUNCED, *_KINDS["unsubscribed"]],
}


@dataclass(frozen=True, slots=True)
class Folded:
    """What hints named: campaigns that are due now, and ids that are no campaign of the platform's."""

    due: frozenset[UUID]
    nowhere: frozenset[UUID]


async def fold(pool: Pool, *, limit: int) -> Folded:
    """Take at most `limit` hints and mark their campaigns due."""
    rows = await run(pool, _SQL["fold"], limit=limit)
    known = frozenset(id_ for id_, is_known in rows if is_known)
    return Folded(known, frozenset(id_ for id_, is_known in rows if not is_known))


async def sweep(pool: Pool, *, since_seconds: float) -> int:
    """Mark the campaigns due of whose messages something was tried or heard since then; return how many."""

    async def once(connection: Connection) -> int:
        async with connection.transaction():
            await _be_patient(connection)
            return len(await (await connection.execute(_SQL["sweep"], {"since_seconds": since_seconds})).fetchall())

    return await repeated(pool, once)


async def roll_up(pool: Pool, *, limit: int) -> int:
    """Count the campaigns that are due, at most `limit`; return how many were looked at, by this or another scheduler.

    Where the database refuses one, or somebody holds it, it is put off and logged, and the others are counted.
    """
    ids = [row[0] for row in await run(pool, _SQL["due"], limit=limit)]
    if ids:
        await _roll_up(pool, ids)
    return len(ids)


async def recompute(pool: Pool, campaign_ids: Sequence[UUID], *, workspace_id: UUID | None = None) -> int:
    """Count these campaigns now, whether or not they are due; return of how many figures were written.

    With a workspace, only campaigns of that workspace. Waits for a count of the same campaign that is under way.
    """
    return sum([await repeated(pool, _recomputing(id_, workspace_id)) for id_ in campaign_ids])


async def named(pool: Pool, *, after: UUID = NOWHERE, limit: int) -> list[UUID]:
    """Return the campaigns that messages name, in the order of their ids; `after` is the last of the page before."""
    return [row[0] for row in await run(pool, _SQL["named"], after=after, limit=limit)]


async def _roll_up(pool: Pool, ids: Sequence[UUID]) -> None:
    try:
        await repeated(pool, lambda connection: _count_due(connection, ids))
    except Error as refused:
        if not is_refusal(refused):
            raise
        if len(ids) > 1:
            for id_ in ids:
                await _roll_up(pool, [id_])
            return
        _log.error("campaign_not_counted", campaign_id=str(ids[0]), error=type(refused).__name__)
        await run(pool, _SQL["put_off"], campaign_id=ids[0], delay_seconds=REFUSED_SECONDS)


async def _count_due(connection: Connection, ids: Sequence[UUID]) -> None:
    async with connection.transaction():
        await _be_patient(connection)
        await connection.execute(_SQL["wait_briefly"], {"seconds": LOCK_SECONDS})
        locked = await connection.execute(_SQL["lock_due"], {"campaign_ids": list(ids)})
        changes: dict[UUID, int] = dict(await locked.fetchall())
        began = monotonic()
        read = await _write(connection, list(changes), None)
        costs = _shares(monotonic() - began, {id_: read.get(id_, 0) for id_ in changes})
        rows = [
            {
                "campaign_id": id_,
                "changes": changes[id_],
                "rest_seconds": max(REST_SECONDS, REST_PER_SECOND * cost_seconds),
            }
            for id_, cost_seconds in costs.items()
        ]
        await connection.execute(_SQL["done"], {"rows": orjson.dumps(rows).decode()})


def _recomputing(id_: UUID, workspace_id: UUID | None) -> Callable[[Connection], Awaitable[int]]:
    async def once(connection: Connection) -> int:
        async with connection.transaction():
            await _be_patient(connection)
            await connection.execute(_SQL["lock"], {"campaign_id": id_})
            return len(await _write(connection, [id_], workspace_id))

    return once


async def _write(connection: Connection, ids: Sequence[UUID], workspace_id: UUID | None) -> dict[UUID, int]:
    """Count and write the figures of campaigns that this transaction has locked; return how many rows each took."""
    return dict(await (await connection.execute(_SQL["write"], asked(ids, workspace_id))).fetchall())


def asked(ids: Sequence[UUID], workspace_id: UUID | None = None) -> dict[str, Any]:
    """Return what a count is told: which campaigns, and which kinds of event count as what."""
    return {"campaign_ids": list(ids), "row_ids": list(map(row_id, ids)), "workspace_id": workspace_id, **_COUNTED}


def row_id(campaign_id: UUID) -> UUID:
    """Name the row of figures that the fleet makes for a campaign: the same one, whoever makes it."""
    return uuid5(campaign_id, "campaign_metrics")


def _shares(seconds: float, rows: Mapping[UUID, int]) -> dict[UUID, float]:
    """Deal what a statement cost to its campaigns, by the rows that it read of each."""
    total = sum(rows.values()) or 1
    return {id_: seconds * count / total for id_, count in rows.items()}


async def _be_patient(connection: Connection) -> None:
    await connection.execute(_SQL["patience"], {"seconds": PATIENCE_SECONDS})
