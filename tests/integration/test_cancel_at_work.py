"""Cancelling at work: with a worker that sends, and as a job."""

from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

from config.channels import JOB_TYPES
from config.database import Pool
from outbox import jobs
from outbox.cancellation import Cancelled, Progress
from outbox.scopes import Scope
from tests.factories import insert, status_of, travel
from tests.integration.conftest import Vendors, deliver
from tests.integration.test_cancellation import CAMPAIGN, WORKSPACE, cancel
from workers.job_types import Context, cancel_messages
from workers.runtime import Runtime


async def test_after_it_returned_the_vendor_accepts_nothing_more_of_the_scope(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    ids = [insert(owner, campaign_id=CAMPAIGN, recipient_email=f"delivered+{n}@resend.dev") for n in range(30)]
    rounds = 0

    async def send_on(_progress: Progress) -> None:
        nonlocal rounds
        rounds += 1
        await deliver(worker)

    await deliver(worker)
    more = [insert(owner, campaign_id=CAMPAIGN) for _ in range(10)]
    ended = await cancel(worker.pool, Scope(campaign_id=CAMPAIGN), send_on)
    accepted = len(await vendors.accepted())
    travel(owner, 3600)
    await deliver(worker)

    assert rounds
    assert ended == Cancelled(10, 0, 0)
    assert accepted == len(await vendors.accepted()) == len(ids)
    assert {status_of(owner, id_) for id_ in more} == {"cancelled"}


async def test_a_job_cancels_a_campaign_and_in_a_workspace_only_its_own_part(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    mine = insert(owner, campaign_id=CAMPAIGN, workspace_id=WORKSPACE)
    theirs = insert(owner, campaign_id=CAMPAIGN)
    payload = Jsonb({"campaign_id": str(CAMPAIGN)})
    for workspace in (WORKSPACE, None):
        owner.execute(
            "INSERT INTO job_queue (job_type, payload, workspace_id) VALUES ('cancel_messages', %s, %s)",
            (payload, workspace),
        )
        token = uuid4()
        (id_,) = await jobs.claim(ledger, JOB_TYPES, token, limit=1, lease_seconds=60)
        job = await jobs.begin(ledger, UUID(id_), token, lease=uuid4(), lease_seconds=60)
        assert job
        reported: list[Any] = []

        async def report(progress: Any, reported: list[Any] = reported) -> None:
            reported.append(progress)

        assert await cancel_messages(job, Context(ledger, report)) == {"cancelled": 1, "with_vendor": 0, "unknown": 0}
        assert reported == [{"cancelled": 1, "sending": 0}]
        assert status_of(owner, mine) == "cancelled"
        assert status_of(owner, theirs) == ("scheduled" if workspace else "cancelled")
