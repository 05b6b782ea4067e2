"""Cancelling a scope: the mark, what is taken back, what was too late, and what came in between."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from config.channels import Channel
from config.database import Pool
from outbox import batches, cancellation
from outbox.cancellation import Cancelled, Order, Progress, Seen
from outbox.overview import overview
from outbox.scopes import Scope
from outbox.settlements import Ended, settle
from outbox.states import Status
from tests.factories import column_of, insert, status_of, travel
from tests.started import Started, claimed, start

CAMPAIGN, WORKSPACE = uuid4(), uuid4()


async def go_on(_progress: Progress) -> None:
    """Nothing is being sent: nothing to wait for."""


async def cancel(
    ledger: Pool, scope: Scope, between: Callable[[Progress], Awaitable[None]] = go_on, actor: str = "ada"
) -> Cancelled:
    return await cancellation.cancel(ledger, Order(scope, actor, "wrong text"), between)


def holds(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    """The marks that stand."""
    return owner.execute(
        "SELECT scope_key, created_by, reason FROM fleet.pauses WHERE kind = 'cancel' AND until IS NULL ORDER BY 1, 2"
    ).fetchall()


# (scope, what is of it, what is not)
SCOPES: list[tuple[Scope, list[dict[str, Any]], list[dict[str, Any]]]] = [
    (Scope(campaign_id=CAMPAIGN), [{"campaign_id": CAMPAIGN}], [{"campaign_id": uuid4()}, {}]),
    (
        Scope(workspace_id=WORKSPACE),
        [{"workspace_id": WORKSPACE}, {"workspace_id": None, "tenant_id": WORKSPACE}],
        [{"tenant_id": WORKSPACE}, {}],
    ),
    (
        Scope(workspace_id=WORKSPACE, campaign_id=CAMPAIGN),
        [{"workspace_id": WORKSPACE, "campaign_id": CAMPAIGN}],
        [{"workspace_id": WORKSPACE}, {"campaign_id": CAMPAIGN}],
    ),
    (Scope(channel="email"), [{}, {"provider": "smtp"}], [{"channel": "sms"}]),
    (
        Scope(provider="resend"),
        [{"provider": "resend"}, {"provider": None}],
        [{"provider": "smtp"}, {"channel": "sms"}],
    ),
]


@pytest.mark.parametrize(
    ("scope", "inside", "outside"), SCOPES, ids=[scope.key.split(":")[0] for scope, _, _ in SCOPES]
)
async def test_a_scope_is_cancelled_whole_and_alone(
    ledger: Pool, owner: psycopg.Connection, scope: Scope, inside: list[Any], outside: list[Any]
) -> None:
    ours, others = [insert(owner, **row) for row in inside], [insert(owner, **row) for row in outside]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    ours += [insert(owner, **row, scheduled_at=tomorrow) for row in inside]
    assert await cancellation.look(ledger, scope) == Seen(len(ours), 0, False)

    assert await cancel(ledger, scope) == Cancelled(len(ours), 0, 0)

    assert {status_of(owner, id_) for id_ in ours} == {"cancelled"}
    assert {status_of(owner, id_) for id_ in others} == {"scheduled"}
    assert column_of(owner, ours[0], "error_message") == f"wrong text (by ada, with everything of {scope.key})"
    assert column_of(owner, ours[0], "finalized_at") is not None
    assert holds(owner) == []
    noted = "SELECT action, actor, workspace_id, subject, detail FROM fleet.audit_log ORDER BY id"
    assert owner.execute(noted).fetchall() == [
        ("cancel_begun", "ada", scope.workspace_id, scope.key, {"reason": "wrong text"}),
        (
            "cancel",
            "ada",
            scope.workspace_id,
            scope.key,
            {"reason": "wrong text", "messages": len(ours), "with_vendor": 0, "unknown": 0},
        ),
    ]


@pytest.mark.parametrize(
    ("scope", "inside", "outside"), SCOPES, ids=[scope.key.split(":")[0] for scope, _, _ in SCOPES]
)
async def test_from_the_mark_on_nothing_of_the_scope_starts(
    ledger: Pool, owner: psycopg.Connection, scope: Scope, inside: list[Any], outside: list[Any]
) -> None:
    for row in inside:
        insert(owner, **row)
    others = {insert(owner, **row) for row in outside if row.get("channel") != "sms"}
    claim = await claimed(ledger)
    started: list[UUID] = []

    async def work(progress: Progress) -> None:
        came = insert(owner, **inside[0])
        started.extend((await start(ledger, claim=claim)).ids if progress.cancelled else [])
        started.extend((await start(ledger)).ids)
        assert status_of(owner, came) == "scheduled"

    assert (await cancel(ledger, scope, work)).cancelled == len(inside)

    assert set(started) == others


async def test_what_came_during_the_cancel_waits_and_is_sent_afterwards(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    insert(owner, campaign_id=CAMPAIGN)
    came: list[UUID] = []

    async def platform(_progress: Progress) -> None:
        came.append(insert(owner, campaign_id=CAMPAIGN))
        assert (await claimed(ledger))[1] == []

    assert await cancel(ledger, Scope(campaign_id=CAMPAIGN), platform) == Cancelled(1, 0, 0)

    assert (await start(ledger)).ids == came


async def test_who_says_to_come_from_the_future_is_cancelled_as_well(ledger: Pool, owner: psycopg.Connection) -> None:
    ids = [insert(owner, campaign_id=CAMPAIGN, created_at=datetime(2100, 1, 1, tzinfo=UTC)) for _ in range(2)]
    ids.append(insert(owner, campaign_id=CAMPAIGN, created_at=None, scheduled_at=datetime(2100, 1, 1, tzinfo=UTC)))
    assert (await cancel(ledger, Scope(campaign_id=CAMPAIGN))).cancelled == 3
    assert {status_of(owner, id_) for id_ in ids} == {"cancelled"}


async def test_what_was_being_sent_is_waited_for_and_counted(ledger: Pool, owner: psycopg.Connection) -> None:
    arrived, later, lost = (insert(owner, "sms", campaign_id=CAMPAIGN) for _ in range(3))
    started = await start(ledger, Channel.SMS, provider="twilio", body=None)
    waiting, elsewhere = insert(owner, "sms", campaign_id=CAMPAIGN), insert(owner, "sms")
    looks: list[Progress] = []

    async def vendor(progress: Progress) -> None:
        looks.append(progress)
        if len(looks) == 2:
            answers = [started.settlement(arrived), started.settlement(later, Status.SCHEDULED, delay_seconds=5.0)]
            await settle(ledger, answers, [], worker="test")
        if len(looks) == 3:
            travel(owner, 61)

    assert await cancel(ledger, Scope(campaign_id=CAMPAIGN), vendor) == Cancelled(2, 1, 1)

    assert looks == [Progress(1, 0), Progress(1, 3), Progress(1, 1), Progress(2, 0)]
    statuses = [status_of(owner, id_) for id_ in (arrived, later, lost, waiting, elsewhere)]
    assert statuses == ["sent", "cancelled", "sending", "cancelled", "scheduled"]


async def test_what_is_unknown_gets_no_new_attempt_by_itself(ledger: Pool, owner: psycopg.Connection) -> None:
    id_ = insert(owner, "sms", campaign_id=CAMPAIGN)
    await start(ledger, Channel.SMS, provider="twilio", body=None)
    travel(owner, 70)
    await batches.expire(ledger, margin_seconds=2, limit=10)

    assert await cancel(ledger, Scope(campaign_id=CAMPAIGN)) == Cancelled(0, 0, 1)

    assert status_of(owner, id_) == "unknown"
    async with ledger.connection() as look_up:
        await look_up.execute("UPDATE channel_outbox SET status = 'scheduled' WHERE id = %s", (id_,))
    assert (await start(ledger, Channel.SMS, provider="twilio", body=None)).ids == []
    assert (status_of(owner, id_), column_of(owner, id_, "error_class")) == ("failed", "expired")


async def test_a_large_scope_goes_in_chunks(
    ledger: Pool, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancellation, "CHUNK", 2)
    ids = [insert(owner, campaign_id=CAMPAIGN) for _ in range(5)]
    seen: list[int] = []

    async def between(progress: Progress) -> None:
        seen.append(progress.cancelled)

    await cancel(ledger, Scope(campaign_id=CAMPAIGN), between)
    assert seen == [2, 4, 5]
    assert {status_of(owner, id_) for id_ in ids} == {"cancelled"}


async def test_a_cancel_that_died_stays_visible_and_is_finished_by_the_next(
    ledger: Pool, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancellation, "CHUNK", 2)
    ids = [insert(owner, campaign_id=CAMPAIGN) for _ in range(5)]
    scope = Scope(campaign_id=CAMPAIGN)

    async def die(_progress: Progress) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await cancel(ledger, scope, die)
    ids.append(insert(owner, campaign_id=CAMPAIGN))

    assert (await claimed(ledger))[1] == []
    held = [(hold.scope, hold.kind, hold.reason, hold.created_by) for hold in (await overview(ledger)).holds]
    assert held == [(scope.key, "cancel", "wrong text", "ada")]
    assert await cancellation.look(ledger, scope) == Seen(4, 0, True)
    assert await cancel(ledger, scope, actor="bob") == Cancelled(4, 0, 0)
    assert holds(owner) == []
    assert {status_of(owner, id_) for id_ in ids} == {"cancelled"}


async def test_the_mark_of_a_later_cancel_of_the_same_scope_stands(ledger: Pool, owner: psycopg.Connection) -> None:
    insert(owner)
    scope = Scope(channel="email")

    async def later(_progress: Progress) -> None:
        mark = "INSERT INTO fleet.pauses (scope_key, kind, reason, created_by) VALUES (%s, 'cancel', 'again', 'bob')"
        owner.execute(mark, (scope.key,))

    await cancel(ledger, scope, later)
    assert holds(owner) == [(scope.key, "bob", "again")]


async def test_it_waits_for_a_start_that_saw_no_mark_and_leaves_the_message_to_it(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    id_ = insert(owner, campaign_id=CAMPAIGN)
    token, _ = await claimed(ledger)
    flight = Started(uuid4(), uuid4(), [id_])

    async def vendor(progress: Progress) -> None:
        assert progress == Progress(0, 1)
        await settle(ledger, [flight.settlement(id_)], [Ended(flight.send_key, flight.lease)], worker="test")

    async with ledger.connection() as starting, starting.transaction():
        await starting.execute(
            "UPDATE channel_outbox SET status = 'sending', send_key = %s, attempts = 1 WHERE lease_token = %s",
            (flight.send_key, token),
        )
        await starting.execute(
            "INSERT INTO fleet.batches (send_key, channel, provider, account, account_tenant_id, member_ids, "
            "addresses, first_sent_at, lease_token, lease_expires_at) "
            "VALUES (%s, 'email', 'resend', '', gen_random_uuid(), %s, ARRAY[''], "
            "now(), %s, now() + interval '60 s')",
            (flight.send_key, [id_], flight.lease),
        )
        cancelling = asyncio.create_task(cancel(ledger, Scope(campaign_id=CAMPAIGN), vendor))
        await waits_for_a_lock(owner)
    assert await cancelling == Cancelled(0, 1, 0)
    assert status_of(owner, id_) == "sent"


async def waits_for_a_lock(owner: psycopg.Connection) -> None:
    """Return when a session of this database waits for another's lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(60):
        while owner.execute(waiting).fetchone() == (0,):
            await asyncio.sleep(0.01)
