"""How it stands: what waits, what is under way, what ended, who works, what holds. For status, metrics, readiness.

Refuses unbounded counts: a count that reaches `COUNT_LIMIT` says "at least". Due and held are told apart among that
many of the earliest in each band of priority.
"""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from psycopg.rows import TupleRow

from config.catalog import served_channels
from config.channels import CHANNELS, JOB_TYPES, Channel
from config.database import Pool, run
from outbox import identity, polls
from outbox.presence import PRESENT_SECONDS
from outbox.queries import load
from outbox.states import Status

_SQL = load("overview")

COUNT_LIMIT = 100_000


@dataclass(slots=True)
class ChannelView:
    """One channel."""

    due: int = 0
    """Could go out now, and nobody has claimed them."""
    oldest_due_seconds: float = 0.0
    held: int = 0
    """Due, and held by a pause or because no provider of this version serves the channel."""
    later: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    """queued, sending and unknown: all there are; sent, failed and other ends: of messages made in the last day."""
    workers: int = 0
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Hold:
    """A pause that holds now."""

    scope: str
    kind: str
    reason: str
    created_by: str
    created_at: datetime
    until: datetime | None
    due_before: datetime | None


@dataclass(frozen=True, slots=True)
class HaltedAccount:
    """A provider account that its vendor refused; the nil tenant is the environment's."""

    provider: str
    tenant_id: UUID
    since: datetime
    until: datetime
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole fleet in one moment."""

    channels: dict[str, ChannelView]
    holds: list[Hold]
    halted: list[HaltedAccount]
    strays: list[str]
    """Statuses of messages that nothing will ever claim."""
    jobs: dict[str, int]
    job_workers: int
    attempts: dict[tuple[str, str], int]
    """(provider, outcome) → requests of the last five minutes."""
    events: dict[str, int]
    """Events that are not applied: waiting, given_up."""
    duplicates: int
    """Messages that two requests were accepted for, ever."""
    is_recognised: bool = True
    """False: the database is a copy, and nothing is sent from it."""
    polls: dict[str, int] = field(default_factory=dict)
    """Messages whose vendor will be asked what became of them: due, later."""


async def overview(pool: Pool) -> Overview:
    """Read it. Each part is a statement of its own; together they are no snapshot."""
    channels = {channel.value: ChannelView() for channel in Channel}
    for name, *figures in await _waiting(pool):
        view = channels[name]
        view.due, view.oldest_due_seconds, view.held, view.later = figures
    for part in ("under_way", "ended"):
        for name, status, count in await run(pool, _SQL[part], limit=COUNT_LIMIT):
            channels.setdefault(name or "(empty)", ChannelView()).statuses[status] = count
    workers = {row[0]: row[1:] for row in await run(pool, _SQL["workers"], seconds=PRESENT_SECONDS)}
    for name, view in channels.items():
        view.workers, view.in_flight = workers.get(name, (0, 0))
    return Overview(
        channels=channels,
        holds=await holds(pool),
        halted=[HaltedAccount(*row) for row in await run(pool, _SQL["halts"])],
        strays=[row[0] for row in await run(pool, _SQL["strays"], known=list(Status))],
        jobs=dict(await run(pool, _SQL["jobs"], types=list(JOB_TYPES), limit=COUNT_LIMIT)),
        job_workers=workers.get("jobs", (0, 0))[0],
        attempts={(row[0], row[1]): row[2] for row in await run(pool, _SQL["attempts"])},
        events=dict(await run(pool, _SQL["events"], limit=COUNT_LIMIT)),
        duplicates=(await run(pool, _SQL["duplicates"]))[0][0],
        is_recognised=await identity.is_recognised(pool),
        polls=await polls.waiting(pool, COUNT_LIMIT),
    )


async def rates(pool: Pool) -> dict[str, int]:
    """Return, by channel, how many messages vendors accepted in the last minute."""
    return dict(await run(pool, _SQL["rates"], limit=COUNT_LIMIT))


async def holds(pool: Pool) -> list[Hold]:
    """Return every pause, hold and mark that stands, the oldest first."""
    return [Hold(*row) for row in await run(pool, _SQL["pauses"])]


async def _waiting(pool: Pool) -> list[TupleRow]:
    served = served_channels()
    return await run(
        pool,
        _SQL["waiting"],
        channels=list(Channel),
        providers=[CHANNELS[channel].default_provider for channel in Channel],
        served=[channel in served for channel in Channel],
        limit=COUNT_LIMIT,
    )
