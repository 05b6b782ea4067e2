"""scheduled → queued and back."""

import asyncio
from datetime import UTC, datetime, timedelta
from math import inf
from uuid import UUID, uuid4

import psycopg
import pytest

from config.channels import Channel
from config.database import Pool, pool
from config.settings import Settings
from outbox import claims
from outbox.migrate.runner import migrate
from tests.factories import column_of, insert, pause, status_of, travel
from tests.started import claimed, start


def ids_of(claim: tuple[UUID, list[str]]) -> set[UUID]:
    return {UUID(id_) for id_ in claim[1]}


async def test_claims_what_is_due_on_its_channel_and_nothing_else(ledger: Pool, owner: psycopg.Connection) -> None:
    due, overdue = insert(owner), insert(owner, scheduled_at=datetime(2020, 1, 1, tzinfo=UTC))
    insert(owner, channel="sms")
    insert(owner, scheduled_at=datetime.now(UTC) + timedelta(hours=1))
    insert(owner, status="sent")

    assert ids_of(await claimed(ledger)) == {due, overdue}
    assert ids_of(await claimed(ledger)) == set()


async def test_a_message_without_a_time_is_due_when_it_was_made(ledger: Pool, owner: psycopg.Connection) -> None:
    made_tomorrow = insert(owner, created_at=datetime.now(UTC) + timedelta(days=1))

    assert ids_of(await claimed(ledger)) == set()
    travel(owner, 2 * 86_400)
    assert ids_of(await claimed(ledger)) == {made_tomorrow}


async def test_urgent_goes_before_normal_before_bulk_and_then_the_earliest(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    early, late = datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC)
    order = [
        insert(owner, priority=1, scheduled_at=early),
        insert(owner, priority=99, scheduled_at=late),
        insert(owner, priority=0, scheduled_at=early),
        insert(owner, priority=None, scheduled_at=late),
        insert(owner, priority=-5, scheduled_at=early),
    ]
    taken = [
        (await claims.claim(ledger, Channel.EMAIL, limit=1, token=uuid4(), lease_seconds=60))[0].id
        for _ in range(len(order))
    ]

    assert [UUID(id_) for id_ in taken] == order


async def test_relays_at_work_together_never_take_the_same_message(ledger: Pool, owner: psycopg.Connection) -> None:
    everything = {insert(owner) for _ in range(60)}

    async def relay() -> list[str]:
        mine: list[str] = []
        while some := await claims.claim(ledger, Channel.EMAIL, limit=7, token=uuid4(), lease_seconds=60):
            mine += [one.id for one in some]
        return mine

    shares = await asyncio.gather(*(relay() for _ in range(4)))
    taken = [UUID(id_) for share in shares for id_ in share]
    assert len(taken) == len(set(taken))
    assert set(taken) == everything


async def test_what_is_paused_is_not_claimed(ledger: Pool, owner: psycopg.Connection) -> None:
    workspace, campaign, tenant = uuid4(), uuid4(), uuid4()
    held = {
        insert(owner, workspace_id=workspace),
        insert(owner, campaign_id=campaign),
        insert(owner, provider="smtp"),
        insert(owner, workspace_id=None, tenant_id=tenant),
    }
    free = insert(owner, provider="resend")
    for scope in (f"workspace:{workspace}", f"campaign:{campaign}", "provider:smtp", f"workspace:{tenant}"):
        pause(owner, scope)

    assert ids_of(await claimed(ledger)) == {free}
    travel(owner, 3600)
    owner.execute("UPDATE fleet.pauses SET until = now() + interval '30 minutes'")
    assert ids_of(await claimed(ledger)) == held


async def test_a_paused_channel_and_a_pause_of_everything(ledger: Pool, owner: psycopg.Connection) -> None:
    email, sms = insert(owner), insert(owner, channel="sms")

    pause(owner, "channel:email")
    assert ids_of(await claimed(ledger)) == set()
    assert ids_of(await claimed(ledger, Channel.SMS)) == {sms}

    owner.execute("DELETE FROM fleet.pauses")
    pause(owner, "everything")
    assert ids_of(await claimed(ledger)) == set()
    owner.execute("DELETE FROM fleet.pauses")
    assert ids_of(await claimed(ledger)) == {email}


async def test_a_paused_provider_holds_what_names_none_as_well(ledger: Pool, owner: psycopg.Connection) -> None:
    insert(owner)
    other = insert(owner, provider="smtp")
    pause(owner, "provider:resend")

    assert ids_of(await claimed(ledger)) == {other}


async def test_what_the_start_would_put_back_is_not_claimed(ledger: Pool, owner: psycopg.Connection) -> None:
    """For each scope that `fleet.scope_keys` names: what was claimed before does not start, then nothing is claimed."""
    workspace, campaign = uuid4(), uuid4()
    insert(owner, workspace_id=workspace, campaign_id=campaign)
    named = owner.execute("SELECT fleet.scope_keys('email', 'resend', %s, %s)", (workspace, campaign)).fetchone()
    keys = named[0] if named else []
    assert len(keys) >= 5
    for key in keys:
        earlier = await claimed(ledger)
        assert len(earlier[1]) == 1, key
        pause(owner, key)
        assert (await start(ledger, claim=earlier)).ids == [], key
        assert ids_of(await claimed(ledger)) == set(), key
        owner.execute("DELETE FROM fleet.pauses")


async def test_a_hold_of_what_was_due_before_lets_the_rest_pass(ledger: Pool, owner: psycopg.Connection) -> None:
    insert(owner, scheduled_at=datetime(2020, 1, 1, tzinfo=UTC))
    recent = insert(owner, scheduled_at=datetime(2024, 1, 1, tzinfo=UTC))
    pause(owner, "everything", kind="adoption", due_before=datetime(2023, 1, 1, tzinfo=UTC))

    assert ids_of(await claimed(ledger)) == {recent}


async def test_only_the_claim_that_holds_it_can_give_a_message_back(ledger: Pool, owner: psycopg.Connection) -> None:
    id_ = insert(owner)
    token, ids = await claimed(ledger)

    assert await claims.release(ledger, ids, uuid4()) == 0
    assert status_of(owner, id_) == "queued"
    assert await claims.release(ledger, ids, token) == 1
    assert status_of(owner, id_) == "scheduled"
    assert column_of(owner, id_, "lease_token") is None
    assert column_of(owner, id_, "attempts") == 0


async def test_a_claim_that_ran_out_goes_back_and_a_live_one_stays(ledger: Pool, owner: psycopg.Connection) -> None:
    dead = insert(owner)
    await claimed(ledger, lease_seconds=10)
    alive = insert(owner)
    await claimed(ledger, lease_seconds=60)
    travel(owner, 30)

    assert await claims.rescue(ledger, limit=10) == 1
    assert (status_of(owner, dead), status_of(owner, alive)) == ("scheduled", "queued")


async def test_queued_without_a_lease_counts_as_run_out(ledger: Pool, owner: psycopg.Connection) -> None:
    id_ = insert(owner, status="queued")

    assert await claims.rescue(ledger, limit=10) == 1
    assert status_of(owner, id_) == "scheduled"


async def test_next_due(ledger: Pool, owner: psycopg.Connection) -> None:
    assert await claims.next_due(ledger) is None
    insert(owner, scheduled_at=datetime.now(UTC) + timedelta(minutes=10))
    wait = await claims.next_due(ledger)
    assert wait is not None
    assert 590 < wait <= 600
    insert(owner)
    assert (await claims.next_due(ledger) or 1) <= 0


@pytest.mark.parametrize(("moment", "wait"), [("infinity", inf), ("-infinity", -inf)])
async def test_a_message_may_wait_for_ever(
    server: str, settings: Settings, any_database: str, moment: str, wait: float
) -> None:
    migrate(any_database, lambda _line: None)
    with psycopg.connect(any_database, autocommit=True) as owner:
        insert(owner, scheduled_at=moment)
    async with pool(settings, any_database, size=1, process="test") as fleet:
        assert await claims.next_due(fleet) == wait


async def test_a_channel_that_does_not_exist_ends_with_a_sentence(ledger: Pool, owner: psycopg.Connection) -> None:
    misspelt, empty = insert(owner, channel="emial"), insert(owner, channel=None)
    later = insert(owner, channel="fax", scheduled_at=datetime.now(UTC) + timedelta(hours=1))
    unserved, fine = insert(owner, channel="linkedin"), insert(owner)

    assert await claims.reject_unclaimable(ledger, [Channel.EMAIL, Channel.SMS], limit=10) == 2

    for id_ in (misspelt, empty):
        assert (status_of(owner, id_), column_of(owner, id_, "error_class")) == ("failed", "rejected")
        assert "email, sms" in column_of(owner, id_, "error_message")
    assert "'emial'" in column_of(owner, misspelt, "error_message")
    assert {status_of(owner, id_) for id_ in (later, unserved, fine)} == {"scheduled"}
