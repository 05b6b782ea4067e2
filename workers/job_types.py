"""The jobs that the fleet can run, by type. A job may run more than once, and must then end the same.

Each takes the job and a `Context` to work with and returns its result, which becomes the job's `progress`. It raises
`BadJob` where the payload cannot be understood.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from campaigns import metrics
from config.channels import Channel
from config.database import Pool
from outbox import cancellation, search
from outbox.cancellation import Order, Progress
from outbox.jobs import Job
from outbox.scopes import Scope
from outbox.search import Filter
from outbox.states import Status

LOOK_SECONDS = 1.0
"""How often a job that cancels a scope looks whether any of it is still being sent; each look renews its lease."""


RENEWAL_SECONDS = 0.3
"""How often the lease of a job is renewed that waits for one long statement: often enough for the shortest lease."""


class BadJob(Exception):
    """The job can never run as it is; the message says what to mend."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a job works with. `report` renews its lease and stops it where the lease is lost."""

    pool: Pool
    report: Callable[[Any], Awaitable[None]]


_Model = TypeVar("_Model", bound=BaseModel)
_Result = TypeVar("_Result")
JobFunction = Callable[[Job, Context], Awaitable[Any]]


class _Messages(BaseModel):
    """The payload of jobs on messages: which ones. At least one field, so that an empty payload is not everything."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[UUID], Field(max_length=search.CHUNK)] | None = None
    channel: Channel | None = None
    provider: str | None = None
    campaign_id: UUID | None = None
    error_code: str | None = None
    recipient: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def retry_messages(job: Job, context: Context) -> dict[str, int]:
    """Schedule the failed messages that match again; those that fail after the job was made are left as they are."""
    wanted, retried = _filter(job, (Status.FAILED,)), 0
    async for ids in search.chunks(context.pool, wanted):
        retried += len(await search.retry(context.pool, ids, actor=f"job {job.id}", before=job.created_at))
        await context.report({"retried": retried})
    return {"retried": retried}


async def cancel_messages(job: Job, context: Context) -> dict[str, int]:
    """Take back the messages that match and were not started; a whole scope with a mark (`outbox.cancellation`)."""
    wanted, cancelled = _filter(job, (Status.SCHEDULED, Status.QUEUED)), 0
    scope = Scope.of(wanted)
    if scope is not None:
        return await _cancel_scope(job, context, scope)
    async for ids in search.chunks(context.pool, wanted):
        cancelled += len(await search.cancel(context.pool, ids, actor=f"job {job.id}"))
        await context.report({"cancelled": cancelled})
    return {"cancelled": cancelled}


async def _cancel_scope(job: Job, context: Context, scope: Scope) -> dict[str, int]:
    async def between(progress: Progress) -> None:
        await context.report(asdict(progress))
        if progress.sending:
            await asyncio.sleep(LOOK_SECONDS)

    order = Order(scope, actor=f"job {job.id}", reason="job cancel_messages")
    return asdict(await cancellation.cancel(context.pool, order, between))


def _filter(job: Job, statuses: tuple[Status, ...]) -> Filter:
    """Read the payload. A job of a workspace touches that workspace's messages only."""
    if not isinstance(job.payload, dict) or not job.payload:
        raise BadJob("payload must say which messages: ids, campaign_id, channel, error_code, recipient, since, until")
    wanted = _payload(job, _Messages)
    return Filter(**wanted.model_dump(), statuses=statuses, workspace_id=job.workspace_id)


class _Campaigns(BaseModel):
    """The payload of jobs on campaigns: which ones. None: all of them."""

    model_config = ConfigDict(extra="forbid")

    campaign_ids: Annotated[list[UUID], Field(max_length=search.CHUNK)] | None = None


async def recompute_metrics(job: Job, context: Context) -> dict[str, int]:
    """Count campaigns again from the ledger and the events. A job of a workspace counts that workspace's only."""
    wanted, written = _payload(job, _Campaigns).campaign_ids, 0
    async for ids in _chunks(context, wanted):
        for id_ in ids:
            counting = metrics.recompute(context.pool, [id_], workspace_id=job.workspace_id)
            written += await _reporting(context, {"recomputed": written}, counting)
            await context.report({"recomputed": written})
    return {"recomputed": written}


async def _reporting(context: Context, progress: Any, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Do work that may take longer than the job's lease, and renew the lease meanwhile; end it where that is lost."""
    async with asyncio.TaskGroup() as both:
        task = both.create_task(work)
        while not (await asyncio.wait({task}, timeout=RENEWAL_SECONDS))[0]:
            await context.report(progress)
    return task.result()


async def _chunks(context: Context, wanted: Sequence[UUID] | None) -> AsyncIterator[Sequence[UUID]]:
    if wanted is not None:
        yield wanted
        return
    ids = await metrics.named(context.pool, limit=search.CHUNK)
    while ids:
        yield ids
        ids = await metrics.named(context.pool, after=ids[-1], limit=search.CHUNK)


def _payload(job: Job, model: type[_Model]) -> _Model:
    try:
        return model.model_validate(job.payload if job.payload is not None else {})
    except ValidationError as invalid:
        said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in invalid.errors(include_input=False))
        raise BadJob(f"payload: {said}") from None


JOB_FUNCTIONS: Mapping[str, JobFunction] = {
    "cancel_messages": cancel_messages,
    "recompute_metrics": recompute_metrics,
    "retry_messages": retry_messages,
}
"""By `job_queue.job_type`; the same names stand in `config.channels.JOB_TYPES`, by which the relay claims."""
