"""Finding, retrying, cancelling; and the picture of the whole."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from config.channels import Channel
from config.database import Pool
from config.moments import EARLIEST, LATEST
from config.settings import load
from console.metrics import exposition
from outbox import presence, search
from outbox.overview import overview
from outbox.readiness import NotReady, check
from outbox.search import Filter
from outbox.states import Status
from tests.factories import column_of, insert, pause, status_of
from tests.started import start
from workers.lease import Lease
from workers.runtime import Runtime

from .test_jobs import job, run_all


async def found(ledger: Pool, **wanted: object) -> set[UUID]:
    return {one.id for one in await search.find(ledger, Filter(**wanted), limit=100)}  # type: ignore[arg-type]


async def test_each_filter(ledger: Pool, owner: psycopg.Connection) -> None:
    workspace, campaign = uuid4(), uuid4()
    one = insert(
        owner, workspace_id=workspace, campaign_id=campaign, provider="resend", error_code="21211", status="failed"
    )
    other = insert(owner, "sms", created_at=datetime(2020, 1, 1, tzinfo=UTC))

    assert await found(ledger) == {one, other}
    assert await found(ledger, ids=[one, uuid4()]) == {one}
    assert await found(ledger, statuses=[Status.FAILED, Status.SENT]) == {one}
    assert await found(ledger, channel="sms") == {other}
    assert await found(ledger, provider="resend") == {one}
    assert await found(ledger, workspace_id=workspace) == {one}
    assert await found(ledger, campaign_id=campaign) == {one}
    assert await found(ledger, error_code="21211") == {one}
    assert await found(ledger, recipient="+14155550100") == {other}
    for spelling in ("delivered@resend.dev", "Delivered@resend.dev"):
        assert await found(ledger, recipient=spelling) == {one}
    assert await found(ledger, since=datetime(2021, 1, 1, tzinfo=UTC)) == {one}
    assert await found(ledger, until=datetime(2021, 1, 1, tzinfo=UTC)) == {other}


async def test_pages_meet_without_gap_or_overlap(ledger: Pool, owner: psycopg.Connection) -> None:
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    everything = {insert(owner, created_at=moment + timedelta(seconds=number // 3)) for number in range(10)}

    seen: list[UUID] = []
    after = None
    while page := await search.find(ledger, Filter(), limit=3, after=after):
        seen += [one.id for one in page]
        after = page[-1]
    assert len(seen) == 10
    assert set(seen) == everything
    assert {id_ async for chunk in search.chunks(ledger, Filter()) for id_ in chunk} == everything


ENDLESS = ("infinity", "-infinity", "20000-01-01", "4000-01-01 BC", None)


async def test_moments_that_python_cannot_tell_keep_nobody_from_listing(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    for moment in ENDLESS:
        insert(owner, scheduled_at=moment, created_at=None)
        insert(owner, scheduled_at="tomorrow", created_at=moment)

    listed = {
        (one.due_at, one.created_at) for one in await search.find(ledger, Filter(), limit=100) if one.created_at is None
    }
    assert len(await found(ledger)) == 2 * len(ENDLESS)
    assert {due for due, _ in listed} >= {EARLIEST, LATEST}


@pytest.mark.parametrize("page_size", [1, 2, 3])
async def test_pages_end_whatever_moment_they_end_on(ledger: Pool, owner: psycopg.Connection, page_size: int) -> None:
    everything = [insert(owner, scheduled_at="now", created_at=moment) for moment in ENDLESS * 2]

    seen: list[UUID] = []
    after = None
    while page := await search.find(ledger, Filter(), limit=page_size, after=after):
        seen += [one.id for one in page]
        after = page[-1]
        assert len(seen) <= len(everything)
    assert sorted(seen) == sorted(everything)


async def test_what_waits_for_ever_can_be_cancelled_and_retried(worker: Runtime, owner: psycopg.Connection) -> None:
    waiting = [insert(owner, scheduled_at=moment, created_at="infinity") for moment in ENDLESS]
    failed = [insert(owner, scheduled_at=moment, status="failed", created_at=None) for moment in ENDLESS]
    for kind, ids in (("cancel_messages", waiting), ("retry_messages", failed)):
        job(owner, kind, {"ids": [str(id_) for id_ in ids]}, scheduled_at="-infinity")
    await run_all(worker)
    assert {status_of(owner, id_) for id_ in waiting} == {"cancelled"}
    assert {status_of(owner, id_) for id_ in failed} == {"scheduled"}


async def test_a_retry_gives_a_fresh_budget(ledger: Pool, owner: psycopg.Connection) -> None:
    id_, sent = insert(owner), insert(owner, status="sent")
    async with ledger.connection() as connection:
        await connection.execute(
            "UPDATE channel_outbox SET status = 'failed', error_class = 'exhausted', error_code = 'x', attempts = 5, "
            "expires_at = now() - interval '1 h', finalized_at = now() WHERE id = %s",
            (id_,),
        )

    assert await search.retry(ledger, [id_, sent, uuid4()], actor="test") == {id_}

    assert status_of(owner, id_) == "scheduled"
    assert column_of(owner, id_, "attempts_forgiven") == 5
    for column in ("expires_at", "error_class", "error_code", "finalized_at"):
        assert column_of(owner, id_, column) is None
    assert owner.execute("SELECT actor, action, subject FROM fleet.audit_log").fetchall() == [
        ("test", "retry", str(id_))
    ]
    assert await search.retry(ledger, [id_], actor="test") == set()


async def test_a_message_with_the_vendor_cannot_be_taken_back(ledger: Pool, owner: psycopg.Connection) -> None:
    sending = insert(owner)
    await start(ledger)
    waiting = insert(owner)

    assert await search.cancel(ledger, [sending, waiting], actor="test") == {waiting}
    assert (status_of(owner, sending), status_of(owner, waiting)) == ("sending", "cancelled")


async def test_one_message_with_its_attempts(ledger: Pool, owner: psycopg.Connection) -> None:
    assert await search.read(ledger, uuid4()) is None
    id_ = insert(owner)
    message, attempts = await search.read(ledger, id_) or ({}, [])
    assert (message["id"], message["status"], attempts) == (str(id_), "scheduled", [])


async def test_the_overview(ledger: Pool, owner: psycopg.Connection) -> None:
    insert(owner, scheduled_at=datetime.now(UTC) - timedelta(seconds=100))
    insert(owner, "sms")
    await start(ledger, Channel.SMS, provider="twilio", body=None)
    insert(owner, scheduled_at=datetime.now(UTC) + timedelta(hours=1))
    insert(owner, status="sent")
    insert(owner, status="misspelt")
    insert(owner, status=None)
    pause(owner, "channel:voice")
    here = presence.Presence(uuid4(), "host", 1, ["email", "jobs"], 4, "1")
    await presence.announce(ledger, here, 7)

    seen = await overview(ledger)

    email = seen.channels["email"]
    assert (email.due, email.later, email.workers, email.in_flight) == (1, 1, 1, 7)
    assert 99 < email.oldest_due_seconds < 160
    assert email.statuses == {"sent": 1}
    assert seen.channels["sms"].statuses == {"sending": 1}
    assert seen.strays == ["misspelt", "(empty)"]
    assert (email.held, seen.channels["sms"].held) == (0, 0)
    assert [hold.scope for hold in seen.holds] == ["channel:voice"]
    assert seen.job_workers == 1
    await presence.leave(ledger, here.id)
    assert (await overview(ledger)).channels["email"].workers == 0


async def test_what_is_held_is_not_due(ledger: Pool, owner: psycopg.Connection) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=3)
    paused, hour = uuid4(), timedelta(hours=1)
    pause(owner, f"workspace:{paused}")
    pause(owner, "provider:twilio")
    pause(owner, "everything", kind="adoption", due_before=long_ago + hour)
    for columns in ({"workspace_id": paused}, {"scheduled_at": long_ago}, {"scheduled_at": "-infinity"}):
        insert(owner, **columns)
    insert(owner, scheduled_at=datetime.now(UTC) - hour)
    insert(owner, "sms", scheduled_at=datetime.now(UTC) - hour)
    insert(owner, "linkedin", scheduled_at=datetime.now(UTC) - hour)

    seen = (await overview(ledger)).channels

    assert (seen["email"].due, seen["email"].held) == (1, 3)
    assert 3600 <= seen["email"].oldest_due_seconds < 3700
    for channel in ("sms", "linkedin"):
        assert (seen[channel].due, seen[channel].held, seen[channel].oldest_due_seconds) == (0, 1, 0.0)


async def test_a_channel_that_somebody_made_up_is_no_label(ledger: Pool, owner: psycopg.Connection) -> None:
    for channel in ("fax", "pigeon", "email"):
        insert(owner, channel, status="sent")

    figures = exposition(await overview(ledger), {}, []).decode()

    assert 'fleet_outbox_messages{channel="other",state="sent"} 2.0' in figures
    assert 'fleet_outbox_messages{channel="email",state="sent"} 1.0' in figures
    assert "fax" not in figures
    assert "pigeon" not in figures


async def test_a_role_that_is_no_member_is_told_what_to_run(database_url: str, owner: psycopg.Connection) -> None:
    name = f"Stranger {uuid4().hex[:8]}"
    owner.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(name)))
    url = f"{database_url}&user={quote(name)}" if "?" in database_url else f"{database_url}?user={quote(name)}"
    try:
        with pytest.raises(NotReady, match=f'GRANT fleet TO "{name}"'):
            await check(load({}), url)
    finally:
        owner.execute(SQL("DROP ROLE {}").format(Identifier(name)))


async def test_readiness(servers: object, database_url: str, empty_database: str) -> None:
    await check(load({}), database_url)
    for settings, url, reason in (
        (load({}), empty_database, "not migrated"),
        (load({"DATABASE_POOLER": "transaction"}), database_url, "must name the role fleet"),
    ):
        try:
            await check(settings, url)
        except NotReady as why:
            assert reason in str(why)  # noqa: PT017
        else:
            raise AssertionError(reason)
    with psycopg.connect(database_url) as owner:
        owner.execute("DELETE FROM fleet.schema_migrations WHERE name LIKE 'fleet/%adoption'")
    try:
        await check(load({}), database_url)
    except NotReady as why:
        assert "behind by 1" in str(why)  # noqa: PT017
    else:
        raise AssertionError("behind")


def test_a_lease_is_believed_in_for_less_time_than_the_database_grants() -> None:
    now = 1000.0
    lease = Lease(seconds=60, margin_seconds=2, clock=lambda: now)
    assert lease.deadline == 1058
    assert lease.allows_request()
    now = 1043.0
    assert not lease.allows_request()
    other = lease.of_batch()
    lease.renewed(1043.0)
    assert lease.allows_request()
    assert not other.allows_request()
