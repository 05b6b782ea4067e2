"""What the jobs actor does: take a job over, run it, write its end.

Owns the lease of a job at work. A job that fails is tried again by the ledger, not by Dramatiq.
"""

from typing import Any
from uuid import UUID, uuid4

from config import log
from outbox import jobs
from outbox.retry import Backoff
from workers.job_types import JOB_FUNCTIONS, BadJob, Context
from workers.runtime import Runtime

BACKOFF = Backoff(base_seconds=30.0, cap_seconds=3600.0)

_log = log.get(__name__)


class LeaseLost(Exception):
    """The job is another worker's by now."""


async def run_job(runtime: Runtime, token: UUID, id_: UUID) -> None:
    """Run one claimed job to its end, or to the end of this try."""
    lease = uuid4()
    seconds = runtime.settings.lease_seconds
    job = await jobs.begin(runtime.pool, id_, token, lease=lease, lease_seconds=seconds)
    if job is None:
        return

    async def report(progress: Any) -> None:
        if not await jobs.report(runtime.pool, id_, lease, lease_seconds=seconds, progress=progress):
            raise LeaseLost

    try:
        result = await JOB_FUNCTIONS[job.job_type](job, Context(runtime.pool, report))
        await jobs.complete(runtime.pool, id_, lease, result)
    except LeaseLost:
        _log.warning("job_lost", job_id=str(id_), job_type=job.job_type)
    except BadJob as why:
        await jobs.fail(runtime.pool, id_, lease, str(why), final=True, delay_seconds=0)
    except Exception as error:  # noqa: BLE001 - whatever a job does, its end is written
        _log.exception("job_failed", job_id=str(id_), job_type=job.job_type)
        delay = BACKOFF.delay_seconds(job.failures + 1)
        await jobs.fail(runtime.pool, id_, lease, f"{type(error).__name__}: {error}", final=False, delay_seconds=delay)
