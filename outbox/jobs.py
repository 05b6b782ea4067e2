"""Jobs: rows of the platform's `job_queue`, run at least once under a lease.

Owns their transitions: pending → running → completed, failed, or pending again. Refuses to know what a job does; jobs
of types that the fleet does not know are left to whoever does.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from config.database import Pool, run
from outbox import storable
from outbox.queries import load

_SQL = load("jobs")


@dataclass(frozen=True, slots=True)
class Job:
    """A job at work."""

    id: UUID
    job_type: str
    payload: Any
    workspace_id: UUID | None
    created_at: datetime
    progress: Any
    """What an earlier try had reported."""
    failures: int
    """Tries that failed before this one."""


async def claim(pool: Pool, types: Collection[str], token: UUID, *, limit: int, lease_seconds: float) -> list[str]:
    """Take due jobs, higher priority first; return their ids. Those that expired waiting end as failed."""
    rows = await run(pool, _SQL["claim"], types=list(types), token=token, limit=limit, lease_seconds=lease_seconds)
    return [id_ for id_, claimed in rows if claimed]


async def release(pool: Pool, ids: Sequence[str], token: UUID) -> None:
    """Give back what Redis did not take."""
    await run(pool, _SQL["release"], ids=list(ids), token=token)


async def begin(pool: Pool, id_: UUID, token: UUID, *, lease: UUID, lease_seconds: float) -> Job | None:
    """Take a claimed job over; None: its claim ran out, or it was cancelled."""
    rows = await run(pool, _SQL["begin"], id=id_, token=token, lease=lease, lease_seconds=lease_seconds)
    return Job(*rows[0]) if rows else None


async def report(pool: Pool, id_: UUID, lease: UUID, *, lease_seconds: float, progress: Any = None) -> bool:
    """Renew the lease of a job at work and note its progress; False: it is another's by now."""
    return bool(
        await run(pool, _SQL["report"], id=id_, lease=lease, lease_seconds=lease_seconds, progress=_jsonb(progress))
    )


async def complete(pool: Pool, id_: UUID, lease: UUID, progress: Any) -> bool:
    """End a job well; False: its lease was lost."""
    return bool(await run(pool, _SQL["complete"], id=id_, lease=lease, progress=_jsonb(progress)))


async def fail(pool: Pool, id_: UUID, lease: UUID, why: str, *, final: bool, delay_seconds: float) -> str | None:
    """End a try badly; return the job's status then: pending for another try, or failed. None: its lease was lost."""
    rows = await run(
        pool,
        _SQL["fail"],
        id=id_,
        lease=lease,
        error_message=storable.text(why),
        final=final,
        delay_seconds=delay_seconds,
    )
    return rows[0][0] if rows else None


async def rescue(pool: Pool, *, limit: int) -> int:
    """Take jobs from workers that died; returns how many."""
    return len(await run(pool, _SQL["rescue"], limit=limit))


def _jsonb(value: Any) -> Jsonb | None:
    return None if value is None else Jsonb(storable.answer(value))
