"""Replies: kept with their message and lead, shown to support, and the end of a sequence that asks for it."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from config.channels import Channel
from config.database import Pool
from config.vocabulary import Kind
from outbox import effects, events, replies, search
from outbox.events import Report
from outbox.settlements import Ended, settle
from outbox.states import Status
from providers.base import PROVIDER_WIDE
from providers.twilio.inbound import kind_of
from tests.factories import PAYLOADS, column_of, insert, status_of
from tests.started import Started, claimed, start

from .test_calls import lead
from .test_events import put, report, tell

WROTE = "+14155550100"
AT = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def reply(text: str | None = "Yes, please", kind: Kind = Kind.REPLIED, **columns: Any) -> Report:
    """Somebody writes back."""
    values: dict[str, Any] = {
        "provider": "twilio",
        "tenant_id": PROVIDER_WIDE,
        "event_id": str(uuid4()),
        "kind": kind,
        "provider_message_id": f"SM{uuid4().hex}",
        "channel": Channel.SMS,
        "address": WROTE,
        "occurred_at": AT,
        "details": {"text": text} if text else None,
        "body": {},
    }
    return Report(**{**values, **columns})


async def answered(pool: Pool, owner: psycopg.Connection, channel: str = "sms", **columns: Any) -> UUID:
    """A message that was sent, to be answered."""
    id_ = insert(owner, channel, **columns)
    provider = "twilio" if channel == "sms" else "resend"
    started = await start(pool, Channel(channel), provider=provider, body=None)
    address = columns.get("recipient_email") or columns.get("recipient_phone") or WROTE
    taken: dict[str, Any] = {"provider": provider, "address": address, "provider_message_id": f"vendor-{id_}"}
    rows = [started.settlement(id_, Status.SENT, **taken)]
    await settle(pool, rows, [Ended(started.send_key, started.lease)], worker="test")
    return id_


def later(owner: psycopg.Connection, channel: str = "sms", stops: object = True, **columns: Any) -> UUID:
    """A later step of a sequence."""
    payload = PAYLOADS[channel] | {"stop_on_reply": stops}
    scheduled_at = columns.pop("scheduled_at", datetime.now(UTC) + timedelta(days=3))
    return insert(owner, channel, payload=payload, scheduled_at=scheduled_at, **columns)


async def test_a_reply_is_kept_with_its_message_and_lead(ledger: Pool, owner: psycopg.Connection) -> None:
    workspace, campaign = uuid4(), uuid4()
    known = lead(owner, workspace, phone="415.555.0111")
    id_ = await answered(ledger, owner, workspace_id=workspace, campaign_id=campaign, recipient_id=known)

    await tell(ledger, reply())

    (found,) = await replies.find(ledger, limit=9)
    assert (found.workspace_id, found.message_id, found.campaign_id, found.lead_id) == (workspace, id_, campaign, known)
    assert (found.channel, found.address, found.text, found.received_at) == ("sms", WROTE, "Yes, please", AT)
    assert "please" not in repr(found)
    assert WROTE not in repr(found)


@pytest.mark.parametrize(
    ("channel", "address", "known", "others"),
    [
        ("email", "ada@example.com", {"email": "Ada@Example.com"}, {"email": "ada@example.org"}),
        ("sms", WROTE, {"phone": "(415) 555-0100"}, {"phone": "555-0100"}),
        ("sms", "+447700900123", {"phone": "07700 900123"}, {"phone": "+447700900124"}),
        ("sms", "12345", {"phone": "+14155512345", "email": ""}, {"phone": "12345"}),
    ],
)
async def test_a_lead_is_found_by_its_address(
    ledger: Pool, owner: psycopg.Connection, channel: str, address: str, known: dict[str, str], others: dict[str, str]
) -> None:
    tenant = uuid4()
    lead(owner, uuid4(), **known)
    lead(owner, tenant, **others)
    wanted = lead(owner, tenant, **known) if len(address) > 5 else None

    await tell(ledger, reply(tenant_id=tenant, address=address, channel=Channel(channel)))

    (found,) = await replies.find(ledger, limit=9)
    assert (found.workspace_id, found.message_id, found.lead_id) == (tenant, None, wanted)


async def test_a_recipient_of_another_workspace_is_no_lead(ledger: Pool, owner: psycopg.Connection) -> None:
    stranger = lead(owner, uuid4(), phone=WROTE)
    await answered(ledger, owner, recipient_id=stranger)
    await tell(ledger, reply())
    assert [one.lead_id for one in await replies.find(ledger, limit=9)] == [None]


@pytest.mark.parametrize("status", [Status.FAILED, Status.SCHEDULED])
async def test_nobody_answers_what_the_vendor_did_not_take(
    ledger: Pool, owner: psycopg.Connection, status: Status
) -> None:
    wrote, refused = uuid4(), uuid4()
    await answered(ledger, owner, workspace_id=wrote)
    insert(owner, "sms", workspace_id=refused)
    started = await start(ledger, Channel.SMS, provider="twilio", body=None)
    await settled(ledger, started, status)

    await tell(ledger, reply())

    assert [one.workspace_id for one in await replies.find(ledger, limit=9)] == [wrote]


async def test_what_was_only_tried_says_whose_a_reply_is_and_not_what_it_answers(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    workspace = uuid4()
    insert(owner, "sms", workspace_id=workspace, campaign_id=uuid4())
    await settled(ledger, await start(ledger, Channel.SMS, provider="twilio", body=None), Status.FAILED)

    await tell(ledger, reply())

    (found,) = await replies.find(ledger, limit=9)
    assert (found.workspace_id, found.message_id, found.campaign_id) == (workspace, None, None)


@pytest.mark.parametrize("resolution", [None, "arrived", "absent"])
async def test_what_may_have_arrived_is_answered_until_it_is_known_to_be_absent(
    ledger: Pool, owner: psycopg.Connection, resolution: str | None
) -> None:
    wrote, unknown = uuid4(), uuid4()
    await answered(ledger, owner, workspace_id=wrote)
    id_ = insert(owner, "sms", workspace_id=unknown)
    started = await start(ledger, Channel.SMS, provider="twilio", body=None)
    await settled(ledger, started, Status.UNKNOWN)
    owner.execute("UPDATE fleet.attempts SET resolution = %s WHERE message_id = %s", (resolution, id_))

    await tell(ledger, reply())

    expected = wrote if resolution == "absent" else unknown
    assert [one.workspace_id for one in await replies.find(ledger, limit=9)] == [expected]


async def test_a_reply_answers_what_was_sent_before_it_came_however_late_it_is_applied(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    before, after = uuid4(), uuid4()
    await answered(ledger, owner, workspace_id=before)
    await events.store(ledger, [reply()])
    await answered(ledger, owner, workspace_id=after)

    await tell(ledger)
    owner.execute(
        "UPDATE fleet.attempts"
        " SET started_at = started_at - interval '91 days', finished_at = finished_at - interval '91 days'"
    )
    await tell(ledger, reply("Hello?", tenant_id=PROVIDER_WIDE))

    assert [one.workspace_id for one in await replies.find(ledger, limit=9)] == [before], "the other is too old"


async def test_a_stop_is_kept_where_it_has_words(ledger: Pool, owner: psycopg.Connection) -> None:
    await answered(ledger, owner)
    await tell(ledger, reply("Stop it!", Kind.STOPPED), reply(None, Kind.STOPPED), reply(None), reply("", Kind.RESUMED))
    assert sorted(one.text or "" for one in await replies.find(ledger, limit=9)) == ["", "Stop it!"]


async def test_a_yes_is_an_answer_although_it_is_a_start_as_well(ledger: Pool, owner: psycopg.Connection) -> None:
    ours: dict[str, Any] = {"workspace_id": uuid4(), "campaign_id": uuid4()}
    await answered(ledger, owner, **ours)
    step = later(owner, **ours)

    await tell(ledger, reply("Yes!", kind_of("Yes!")))

    assert [one.text for one in await replies.find(ledger, limit=9)] == ["Yes!"]
    assert status_of(owner, step) == "cancelled"


async def test_pages_meet_without_gap_or_overlap(ledger: Pool, owner: psycopg.Connection) -> None:
    one, other = uuid4(), uuid4()
    await tell(
        ledger,
        *(reply(str(place), tenant_id=one, occurred_at=AT + timedelta(seconds=place // 3)) for place in range(10)),
        reply("other", tenant_id=other),
    )
    seen: list[str | None] = []
    after = None
    while page := await replies.find(ledger, workspace_id=one, limit=3, after=after):
        seen += [found.text for found in page]
        after = page[-1]
    assert seen == [str(place) for place in reversed(range(10))]


async def test_a_reply_ends_the_sequence_that_asks_for_it(ledger: Pool, owner: psycopg.Connection) -> None:
    workspace, campaign, person = uuid4(), uuid4(), uuid4()
    ours: dict[str, Any] = {"workspace_id": workspace, "campaign_id": campaign}
    await answered(ledger, owner, recipient_id=person, **ours)
    other: dict[str, Any] = {"recipient_id": uuid4(), "recipient_phone": "+14155550222"}
    stopped = {
        "by address": later(owner, **ours),
        "however it is spelled": later(owner, recipient_phone="+1 (415) 555-0100", **ours),
        "by recipient": later(owner, recipient_id=person, recipient_phone=None, **ours),
        "on another channel": later(owner, "email", recipient_id=person, **ours),
        "as text": later(owner, stops="true", **ours),
    }
    kept = {
        "does not ask": later(owner, stops=False, **ours),
        "says nothing": insert(owner, "sms", scheduled_at=datetime.now(UTC) + timedelta(days=3), **ours),
        "another's": later(owner, **ours | other),
        "another campaign's": later(owner, **ours | {"campaign_id": uuid4()}),
        "another workspace's": later(owner, **ours | {"workspace_id": uuid4()}),
        "of no campaign": later(owner, workspace_id=workspace),
        "has ended": later(owner, status="failed", **ours),
    }

    await tell(ledger, reply())

    assert {name: status_of(owner, id_) for name, id_ in stopped.items()} == dict.fromkeys(stopped, "cancelled")
    assert {name: status_of(owner, id_) for name, id_ in kept.items()} == {
        name: "failed" if name == "has ended" else "scheduled" for name in kept
    }
    one = stopped["by address"]
    assert column_of(owner, one, "error_code") == "replied"
    assert (
        column_of(owner, one, "error_message")
        == "the recipient replied, and payload.stop_on_reply ends the sequence then"
    )
    assert column_of(owner, one, "finalized_at") is not None


async def test_by_mail_as_well(ledger: Pool, owner: psycopg.Connection) -> None:
    ours: dict[str, Any] = {"workspace_id": uuid4(), "campaign_id": uuid4(), "recipient_email": "Ada@example.com"}
    await answered(ledger, owner, "email", **ours)
    step = later(owner, "email", **ours | {"recipient_email": " ADA@example.com "})
    other = later(owner, "email", **ours | {"recipient_email": "bob@example.com"})

    await tell(ledger, reply(provider="resend", channel=Channel.EMAIL, address="ada@example.com"))

    assert (status_of(owner, step), status_of(owner, other)) == ("cancelled", "scheduled")


@pytest.mark.parametrize(("kind", "text"), [(Kind.STOPPED, "STOP"), (Kind.UNSUBSCRIBED, "STOP"), (Kind.RESUMED, None)])
async def test_only_an_answer_ends_it(ledger: Pool, owner: psycopg.Connection, kind: Kind, text: str | None) -> None:
    ours: dict[str, Any] = {"workspace_id": uuid4(), "campaign_id": uuid4()}
    await answered(ledger, owner, **ours)
    step = later(owner, **ours)
    await tell(ledger, reply(text, kind))
    assert status_of(owner, step) == "scheduled"


async def test_what_a_relay_has_claimed_is_ended_and_does_not_start(ledger: Pool, owner: psycopg.Connection) -> None:
    ours: dict[str, Any] = {"workspace_id": uuid4(), "campaign_id": uuid4()}
    await answered(ledger, owner, **ours)
    step = later(owner, scheduled_at=None, **ours)
    claim = await claimed(ledger, Channel.SMS)
    assert status_of(owner, step) == "queued"

    await tell(ledger, reply())

    assert (status_of(owner, step), column_of(owner, step, "lease_token")) == ("cancelled", None)
    assert (await start(ledger, Channel.SMS, provider="twilio", body=None, claim=claim)).ids == []


async def with_the_vendor(ledger: Pool, owner: psycopg.Connection, **columns: Any) -> Started:
    """A step of a sequence that is being sent while its recipient replies to the one before."""
    ours: dict[str, Any] = {"workspace_id": uuid4(), "campaign_id": uuid4()}
    await answered(ledger, owner, **ours)
    later(owner, scheduled_at=None, **ours | columns)
    return await start(ledger, Channel.SMS, provider="twilio", body=None)


async def test_what_is_with_the_vendor_is_left_to_it(ledger: Pool, owner: psycopg.Connection) -> None:
    started = await with_the_vendor(ledger, owner)
    await tell(ledger, reply())
    assert status_of(owner, started.ids[0]) == "sending"

    await settled(ledger, started)
    assert status_of(owner, started.ids[0]) == "sent"


@pytest.mark.parametrize("is_settled", [False, True])
@pytest.mark.parametrize("ends_in_seconds", [None, 3600])
async def test_what_the_vendor_puts_off_gets_no_further_try(
    ledger: Pool, owner: psycopg.Connection, is_settled: bool, ends_in_seconds: float | None
) -> None:
    """Also where nobody could tell whether it was sent, and the vendor's record shows no trace of it."""
    end = datetime.now(UTC) + timedelta(seconds=ends_in_seconds) if ends_in_seconds else None
    started = await with_the_vendor(ledger, owner, expires_at=end)
    (step,) = started.ids
    if is_settled:
        await settled(ledger, started, Status.UNKNOWN)
        await tell(ledger, reply())
        assert status_of(owner, step) == "unknown"
        put(owner, step, status="scheduled", scheduled_at=None)
    else:
        await tell(ledger, reply())
        await settled(ledger, started, Status.SCHEDULED)
    assert status_of(owner, step) == "scheduled"

    again = await start(ledger, Channel.SMS, provider="twilio", body=None)

    assert again.ids == []
    assert (status_of(owner, step), column_of(owner, step, "error_class")) == ("failed", "expired")


async def test_what_is_put_off_in_the_same_moment_is_cancelled(ledger: Pool, owner: psycopg.Connection) -> None:
    """The reply waits for the settlement that holds the step, and finds it as that has left it."""
    started = await with_the_vendor(ledger, owner)
    (step,) = started.ids
    with owner.transaction():
        owner.execute("SET LOCAL ROLE fleet")
        owner.execute("UPDATE channel_outbox SET status = 'scheduled' WHERE id = %s", (step,))
        telling = asyncio.create_task(tell(ledger, reply()))
        while not await waits_for_a_lock(ledger):
            assert not telling.done()
    await telling
    assert status_of(owner, step) == "cancelled"


async def waits_for_a_lock(pool: Pool) -> bool:
    query = "SELECT FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')"
    async with pool.connection() as connection:
        return (await (await connection.execute(query)).fetchone()) is not None


async def test_an_end_that_is_over_already_is_left_as_it_is(ledger: Pool, owner: psycopg.Connection) -> None:
    started = await with_the_vendor(ledger, owner)
    end = datetime.now(UTC) - timedelta(hours=1)
    put(owner, started.ids[0], expires_at=end)
    await tell(ledger, reply())
    assert column_of(owner, started.ids[0], "expires_at") == end


async def test_a_second_time_changes_nothing(ledger: Pool, owner: psycopg.Connection) -> None:
    ours: dict[str, Any] = {"workspace_id": uuid4(), "campaign_id": uuid4()}
    await answered(ledger, owner, **ours)
    later(owner, **ours)
    await tell(ledger, reply(), reply("More"))
    written = """
        SELECT array_agg(r.xmin::text ORDER BY r.event_id),
            (SELECT array_agg(o.xmin::text ORDER BY o.id) FROM channel_outbox o)
        FROM fleet.replies r
    """
    before = owner.execute(written).fetchone()
    ids = [row[0] for row in owner.execute("SELECT id FROM fleet.events")]

    await events.apply(ledger, ids)
    async with ledger.connection() as connection, connection.transaction():
        await effects.take(connection, ids)

    assert owner.execute(written).fetchone() == before
    assert before
    assert len(before[0]) == 2


async def test_replies_and_settlements_do_not_meet_in_a_deadlock(ledger: Pool, owner: psycopg.Connection) -> None:
    """The bundle holds messages that a settlement wants, and the settlement holds some of the same sequence."""
    ours: dict[str, Any] = {"workspace_id": uuid4(), "campaign_id": uuid4()}
    await answered(ledger, owner, **ours)
    steps = [later(owner, scheduled_at=None, **ours) for _ in range(20)]
    waiting = [later(owner, **ours) for _ in range(20)]
    started = await start(ledger, Channel.SMS, provider="twilio", body=None)
    assert sorted(started.ids) == sorted(steps)
    before = owner.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()

    await asyncio.gather(
        settled(ledger, started),
        *(tell(ledger, reply(), *(report(started, "accepted", place) for place in range(20))) for _ in range(4)),
    )

    assert {status_of(owner, id_) for id_ in waiting} == {"cancelled"}
    assert {status_of(owner, id_) for id_ in steps} == {"sent"}
    after = owner.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    assert after == before


async def settled(pool: Pool, started: Started, status: Status = Status.SENT) -> None:
    taken: dict[str, Any] = {"provider": "twilio", "address": WROTE}
    vendor_ids = [
        f"vendor-{started.send_key}-{place}" if status is Status.SENT else None for place in range(len(started.ids))
    ]
    rows = [
        started.settlement(id_, status, provider_message_id=vendor_id, **taken)
        for id_, vendor_id in zip(started.ids, vendor_ids, strict=True)
    ]
    await settle(pool, rows, [Ended(started.send_key, started.lease)], worker="test")


async def test_what_was_said_of_a_message_is_read_with_it(ledger: Pool, owner: psycopg.Connection) -> None:
    id_ = await answered(ledger, owner)
    await tell(ledger, reply())
    owner.execute(
        "INSERT INTO fleet.events (provider, tenant_id, event_id, kind, message_id, body)"
        " VALUES ('x', %s, 'x', 'opened', %s, '{}')",
        (uuid4(), id_),
    )
    (told,) = await search.events_of(ledger, id_)
    assert (told["provider"], told["kind"], told["code"], told["reason"]) == ("twilio", "replied", None, None)
    assert datetime.fromisoformat(told["occurred_at"]) == AT


async def test_no_word_of_a_reply_is_logged(
    ledger: Pool, owner: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await answered(ledger, owner)
    with caplog.at_level(logging.DEBUG):
        await tell(ledger, reply("a very private word"))
        assert await replies.find(ledger, limit=9)
    assert "private" not in caplog.text
