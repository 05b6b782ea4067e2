"""Events as support sees them: what came in lately, what is not applied, and applying some of it again.

Owns the filter, so that what was counted is what is applied again. Refuses to apply: an event that is due again takes
the way of every other, and comes to the same as the first time.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from config.database import Pool, run
from outbox.queries import load

_SQL = load("received")

LATEST = 100_000
"""So many events are looked at, counted from the newest."""
CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Received:
    """What came in of one kind."""

    provider: str
    kind: str
    received: int
    applied: int
    waiting: int
    given_up: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Unapplied:
    """One event that is not applied; `next_try_at` None: it was given up."""

    id: int
    provider: str
    kind: str
    provider_message_id: str | None
    address: str | None = field(repr=False)
    received_at: datetime
    tries: int
    next_try_at: datetime | None


@dataclass(frozen=True, slots=True)
class Choice:
    """Which events; what is None matches all. What is applied is left alone unless `applied` asks for it."""

    ids: Sequence[int] | None = None
    provider: str | None = None
    since: datetime | None = None
    """Received at or after."""
    given_up: bool = False
    """Only those."""
    applied: bool = False


async def counts(pool: Pool, *, since: datetime, provider: str | None = None, latest: int = LATEST) -> list[Received]:
    """Return what came in since a moment, among the `latest` events."""
    return [Received(*row) for row in await run(pool, _SQL["counts"], since=since, provider=provider, limit=latest)]


async def has_more(pool: Pool, *, since: datetime, latest: int = LATEST) -> bool:
    """Tell whether more came in since a moment than the `latest` that are counted, of whichever provider."""
    rows = await run(pool, _SQL["has_more"], since=since, limit=latest)
    return bool(rows and rows[0][0])


async def unapplied(
    pool: Pool, *, since: datetime | None = None, provider: str | None = None, limit: int
) -> list[Unapplied]:
    """Return what was received (since a moment) and is not applied, what was given up first."""
    rows = await run(pool, _SQL["unapplied"], since=since, provider=provider, limit=limit)
    return [Unapplied(*row) for row in rows]


async def chunks(pool: Pool, choice: Choice) -> AsyncIterator[list[int]]:
    """Yield the ids of all that match, in pieces that one statement may change."""
    ids = None if choice.ids is None else list(choice.ids)
    after = 0
    while rows := await run(pool, _SQL["chosen"], **{**asdict(choice), "ids": ids}, after=after, limit=CHUNK):
        after = rows[-1][0]
        yield [row[0] for row in rows]


async def replay(pool: Pool, ids: Sequence[int], *, applied: bool, actor: str) -> set[int]:
    """Make events due, with all their tries before them; return which were. waiting, given up (, applied) → due."""
    return {row[0] for row in await run(pool, _SQL["replay"], ids=list(ids), applied=applied, actor=actor)}
