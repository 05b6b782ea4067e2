"""Jobs: pending → running → their end, and what they do."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from config.channels import JOB_TYPES
from config.database import Pool
from outbox import jobs, search
from tests.factories import insert, status_of, travel
from tests.integration.test_campaign_metrics import campaign, figures, put_in, rows, workspace_of
from workers import job_types
from workers.job_types import JOB_FUNCTIONS
from workers.run_job import run_job
from workers.runtime import Runtime


def job(owner: psycopg.Connection, job_type: str = "retry_messages", payload: Any = None, **columns: Any) -> UUID:
    values = {"job_type": job_type, "payload": Jsonb(payload), **columns}
    names, marks = ", ".join(values), ", ".join(f"%({name})s" for name in values)
    row = owner.execute(f"INSERT INTO job_queue ({names}) VALUES ({marks}) RETURNING id".encode(), values).fetchone()
    assert row
    found: UUID = row[0]
    return found


def state(owner: psycopg.Connection, id_: UUID) -> tuple[Any, ...]:
    row = owner.execute(
        "SELECT status, error_message, progress, retry_count FROM job_queue WHERE id = %s", (id_,)
    ).fetchone()
    assert row
    return row


async def claim(ledger: Pool) -> tuple[UUID, list[str]]:
    token = uuid4()
    return token, await jobs.claim(ledger, JOB_TYPES, token, limit=10, lease_seconds=60)


async def run_all(worker: Runtime) -> None:
    token, ids = await claim(worker.pool)
    for id_ in ids:
        await run_job(worker, token, UUID(id_))


async def test_a_recomputation_stays_in_its_workspace(worker: Runtime, owner: psycopg.Connection) -> None:
    mine, other = campaign(owner), campaign(owner)
    for campaign_id in (mine, other):
        put_in(owner, campaign_id)
    id_ = job(owner, "recompute_metrics", workspace_id=workspace_of(owner, mine))

    await run_all(worker)

    assert state(owner, id_)[0::2] == ("completed", {"recomputed": 1})
    assert (figures(owner, mine), rows(owner, other)) == ({}, [])


@pytest.mark.parametrize("named", [True, False])
async def test_campaigns_are_recomputed_by_name_or_all(
    worker: Runtime, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    monkeypatch.setattr(search, "CHUNK", 2)
    campaigns = [campaign(owner) for _ in range(3)]
    for campaign_id in campaigns:
        put_in(owner, campaign_id)
    id_ = job(owner, "recompute_metrics", {"campaign_ids": [str(campaigns[0])]} if named else {})

    await run_all(worker)

    assert state(owner, id_)[0::2] == ("completed", {"recomputed": 1 if named else 3})
    assert [len(rows(owner, campaign_id)) for campaign_id in campaigns] == ([1, 0, 0] if named else [1, 1, 1])


async def test_a_recomputation_of_who_knows_what_fails(worker: Runtime, owner: psycopg.Connection) -> None:
    id_ = job(owner, "recompute_metrics", {"campaigns": []})

    await run_all(worker)

    assert state(owner, id_)[:2] == ("failed", "payload: campaigns: Extra inputs are not permitted")


def test_every_type_that_is_claimed_has_a_function() -> None:
    assert set(JOB_FUNCTIONS) == JOB_TYPES


async def test_higher_priority_first_and_nothing_before_its_time(ledger: Pool, owner: psycopg.Connection) -> None:
    low, high = job(owner, priority=1), job(owner, priority=5)
    job(owner, scheduled_at=datetime.now(UTC) + timedelta(hours=1))

    token = uuid4()
    first = await jobs.claim(ledger, JOB_TYPES, token, limit=1, lease_seconds=60)
    second = await jobs.claim(ledger, JOB_TYPES, token, limit=5, lease_seconds=60)
    assert ([UUID(id_) for id_ in first], [UUID(id_) for id_ in second]) == ([high], [low])


async def test_a_job_that_expired_waiting_fails(ledger: Pool, owner: psycopg.Connection) -> None:
    id_ = job(owner, expires_at=datetime(2020, 1, 1, tzinfo=UTC))

    assert (await claim(ledger))[1] == []
    assert state(owner, id_)[:2] == ("failed", "expires_at passed before it could run")


async def test_a_dead_workers_job_is_tried_again_and_then_fails(ledger: Pool, owner: psycopg.Connection) -> None:
    id_ = job(owner, max_attempts=2)
    foreign = job(owner, "somebody_elses", status="running")
    await claim(ledger)
    travel(owner, 70)
    assert await jobs.rescue(ledger, limit=10) == 1
    assert state(owner, id_)[0] == "pending"
    await claim(ledger)
    travel(owner, 140)
    assert await jobs.rescue(ledger, limit=10) == 1
    assert state(owner, id_)[:2] == ("failed", "its worker died")
    assert state(owner, foreign)[0] == "running"


async def test_a_retry_by_job_stays_in_its_workspace_and_tries_each_failure_once(
    worker: Runtime, owner: psycopg.Connection
) -> None:
    workspace = uuid4()
    old = datetime(2020, 1, 1, tzinfo=UTC)
    failed = [insert(owner, status="failed", workspace_id=workspace, finalized_at=old) for _ in range(3)]
    elsewhere = insert(owner, status="failed", finalized_at=old)
    later = insert(owner, status="failed", workspace_id=workspace, finalized_at=datetime.now(UTC) + timedelta(hours=1))
    id_ = job(owner, payload={"channel": "email"}, workspace_id=workspace)

    await run_all(worker)

    assert state(owner, id_) == ("completed", None, {"retried": 3}, 0)
    assert {status_of(owner, one) for one in failed} == {"scheduled"}
    assert {status_of(owner, one) for one in (elsewhere, later)} == {"failed"}


async def test_a_cancel_by_job(worker: Runtime, owner: psycopg.Connection) -> None:
    campaign = uuid4()
    waiting, sent = insert(owner, campaign_id=campaign), insert(owner, campaign_id=campaign, status="sent")
    id_ = job(owner, "cancel_messages", {"campaign_id": str(campaign)})

    await run_all(worker)

    assert state(owner, id_)[0] == "completed"
    assert (status_of(owner, waiting), status_of(owner, sent)) == ("cancelled", "sent")


@pytest.mark.parametrize("payload", [None, {}, {"campain_id": "x"}, {"campaign_id": "x"}, [1], "all"])
async def test_a_payload_that_says_nothing_fails_with_a_sentence(
    worker: Runtime, owner: psycopg.Connection, payload: Any
) -> None:
    insert(owner)
    id_ = job(owner, "cancel_messages", payload)

    await run_all(worker)

    status, error, _, _ = state(owner, id_)
    assert status == "failed"
    assert "payload" in error
    assert owner.execute("SELECT DISTINCT status FROM channel_outbox").fetchall() == [("scheduled",)]


async def test_a_job_that_breaks_is_tried_again(
    worker: Runtime, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_arguments: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(job_types, "JOB_FUNCTIONS", {"retry_messages": broken})
    monkeypatch.setattr("workers.run_job.JOB_FUNCTIONS", {"retry_messages": broken})
    id_ = job(owner, payload={"channel": "email"})

    await run_all(worker)

    assert state(owner, id_) == ("pending", "RuntimeError: out of luck", None, 1)


async def test_a_job_that_breaks_again_waits_longer(
    worker: Runtime, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_arguments: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr("workers.run_job.JOB_FUNCTIONS", {"retry_messages": broken})
    monkeypatch.setattr("outbox.retry.Backoff.delay_seconds", lambda self, tries: self.base_seconds * 10**tries)
    id_ = job(owner, payload={"channel": "email"}, max_attempts=3, retry_count=1)

    await run_all(worker)

    waits = owner.execute("SELECT scheduled_at - updated_at FROM job_queue WHERE id = %s", (id_,)).fetchone()
    assert waits == (timedelta(seconds=3000),)


async def test_a_job_that_lost_its_lease_stops(
    worker: Runtime, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached_the_end = False

    async def robbed(job_: jobs.Job, context: job_types.Context) -> None:
        nonlocal reached_the_end
        owner.execute("UPDATE job_queue SET lease_token = gen_random_uuid() WHERE id = %s", (job_.id,))
        await context.report({"half": True})
        reached_the_end = True

    monkeypatch.setattr("workers.run_job.JOB_FUNCTIONS", {"retry_messages": robbed})
    id_ = job(owner, payload={"channel": "email"})

    await run_all(worker)

    assert not reached_the_end
    assert state(owner, id_)[0] == "running"


async def test_a_stale_message_runs_nothing(worker: Runtime, owner: psycopg.Connection) -> None:
    id_ = job(owner, payload={"channel": "email"})
    await run_job(worker, uuid4(), id_)
    assert state(owner, id_)[0] == "pending"
