"""What applied events mean for who may be contacted: each reason, any order, and the same again the second time."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from config.channels import Channel
from config.database import Pool
from config.vocabulary import KINDS, Kind, Reason
from outbox import effects, events
from outbox.events import Report
from outbox.states import Status
from providers.base import PROVIDER_WIDE
from tests.factories import column_of, insert, status_of, travel
from tests.integration.test_events import put, report, sending, settled, tell
from tests.started import Started, claimed, start

PERSON = "+14155550100"
NOW = datetime.now(UTC).replace(microsecond=0)
BY_ATTEMPT = [kind for kind, facts in KINDS.items() if facts.suppresses and facts.proves]
BY_PERSON = [kind for kind, facts in KINDS.items() if facts.suppresses and not facts.proves]


def of_person(kind: Kind, workspace: UUID | None, at: datetime | None = None, **columns: Any) -> Report:
    """What a recipient did, as the fleet itself would store it."""
    values: dict[str, Any] = {
        "provider": "twilio",
        "tenant_id": PROVIDER_WIDE,
        "event_id": str(uuid4()),
        "kind": kind,
        "workspace_id": workspace,
        "channel": Channel.SMS,
        "address": PERSON,
        "occurred_at": at,
    }
    return Report(**{**values, **columns})


def standing(owner: psycopg.Connection) -> set[tuple[UUID, str, str, str]]:
    """(workspace, channel, address, reason) of every suppression that holds."""
    return {
        (row[0], row[1], row[2], row[3])
        for row in owner.execute(
            "SELECT workspace_id, channel, address, reason FROM fleet.suppressions"
            " WHERE (released_at IS NULL OR released_at <= created_at)"
            " AND (expires_at IS NULL OR expires_at > fleet.now())"
        )
    }


def reasons(owner: psycopg.Connection) -> list[str]:
    return sorted(one[3] for one in standing(owner))


def everything(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Every suppression and every message, down to the version of its row."""
    kept = owner.execute("SELECT xmin::text, to_jsonb(s) FROM fleet.suppressions s ORDER BY 2").fetchall()
    return kept + owner.execute("SELECT xmin::text, to_jsonb(o) FROM channel_outbox o ORDER BY o.id").fetchall()


async def apply_again(pool: Pool, owner: psycopg.Connection) -> events.Applied:
    owner.execute("UPDATE fleet.events SET applied_at = NULL, next_try_at = fleet.now()")
    return await events.apply(pool, await events.claim(pool, limit=1000, lease_seconds=60))


async def sent(pool: Pool, owner: psycopg.Connection, workspace: UUID, count: int = 1) -> Started:
    """Messages to the person that the vendor took."""
    for _ in range(count):
        insert(owner, "sms", workspace_id=workspace)
    started = await sending(pool)
    await settled(pool, started, Status.SENT, address=PERSON)
    return started


async def told_of(pool: Pool, owner: psycopg.Connection, kind: Kind, workspace: UUID) -> None:
    """Let the vendor say it of a message, or the person of themselves."""
    if kind in BY_ATTEMPT:
        await tell(pool, report(await sent(pool, owner, workspace), kind))
    else:
        await sent(pool, owner, workspace)
        await tell(pool, of_person(kind, None, channel=None))


@pytest.mark.parametrize("kind", [*BY_ATTEMPT, *BY_PERSON])
async def test_who_must_not_be_contacted_gets_nothing_more_and_elsewhere_still_does(
    ledger: Pool, owner: psycopg.Connection, kind: Kind
) -> None:
    """Also what was queued before."""
    workspace = uuid4()
    reason = KINDS[kind].suppresses
    assert reason is not None
    first = await sent(ledger, owner, workspace)
    queued, elsewhere, to_another = (
        insert(owner, "sms", workspace_id=workspace),
        insert(owner, "sms"),
        insert(owner, "sms", workspace_id=workspace, recipient_phone="+14155550199"),
    )
    claim = await claimed(ledger, Channel.SMS)

    said = report(first, kind) if kind in BY_ATTEMPT else of_person(kind, None, channel=None)
    assert (await tell(ledger, said)).applied == 1
    started = await start(ledger, Channel.SMS, provider="twilio", body=None, claim=claim)

    assert standing(owner) == {(workspace, "sms", PERSON, reason.value)}
    assert status_of(owner, queued) == "suppressed"
    assert set(started.ids) == {elsewhere, to_another}
    assert (await apply_again(ledger, owner)).applied == 1
    assert standing(owner) == {(workspace, "sms", PERSON, reason.value)}


async def test_another_channel_of_the_workspace_is_still_served(ledger: Pool, owner: psycopg.Connection) -> None:
    workspace = uuid4()
    await told_of(ledger, owner, Kind.STOPPED, workspace)

    call = insert(owner, "voice", workspace_id=workspace)

    assert (await start(ledger, Channel.VOICE, provider="vapi", body=None)).ids == [call]


@pytest.mark.parametrize(
    ("kind", "stays"),
    [
        (Kind.STOPPED, False),
        (Kind.BLOCKED, False),
        (Kind.BOUNCED, True),
        (Kind.COMPLAINED, True),
        (Kind.UNSUBSCRIBED, True),
    ],
)
async def test_start_takes_back_a_stop_and_nothing_else(
    ledger: Pool, owner: psycopg.Connection, kind: Kind, stays: bool
) -> None:
    workspace = uuid4()
    await told_of(ledger, owner, kind, workspace)
    owner.execute(
        "INSERT INTO fleet.suppressions (workspace_id, channel, address, reason, source, created_at)"
        " VALUES (%s, 'sms', %s, 'manual', 'a person', now() - interval '1 day')",
        (workspace, PERSON),
    )

    await tell(ledger, of_person(Kind.RESUMED, None, channel=None))

    reason = KINDS[kind].suppresses
    assert reasons(owner) == sorted(["manual", *([reason.value] if stays and reason else [])])


async def test_who_subscribes_again_takes_back_the_unsubscribing_and_nothing_else(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    workspace = uuid4()
    for kind in (Kind.UNSUBSCRIBED, Kind.STOPPED, Kind.RESUBSCRIBED):
        await tell(ledger, of_person(kind, workspace))

    assert reasons(owner) == ["stopped"]


words = st.lists(
    st.tuples(st.sampled_from([Kind.STOPPED, Kind.RESUMED]), st.integers(0, 4), st.integers(0, 1)),
    min_size=1,
    max_size=6,
)


def expected(said: list[tuple[Kind, int, int]], place: int) -> bool:
    """Whether a workspace may not write: a STOP is of the one that it answers, a START of all that share the number.

    The later word counts; of two in the same moment, STOP does.
    """
    stopped = max((at for word, at, answers in said if word is Kind.STOPPED and answers == place), default=-1)
    resumed = max((at for word, at, _ in said if word is Kind.RESUMED), default=-1)
    return stopped >= 0 and stopped >= resumed


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=words, seed=st.randoms(use_true_random=False), pieces=st.integers(1, 6))
async def test_stop_and_start_in_any_order_come_to_what_was_said_last(
    ledger: Pool, owner: psycopg.Connection, said: list[tuple[Kind, int, int]], seed: random.Random, pieces: int
) -> None:
    """Two workspaces write from one number; each word names the message that it answers."""
    owner.execute("TRUNCATE fleet.suppressions, fleet.events")
    both = [uuid4(), uuid4()]
    messages = [(await sent(ledger, owner, workspace)).ids[0] for workspace in both]
    reports = [
        of_person(kind, None, NOW + timedelta(minutes=at - 60), message_id=messages[answers])
        for kind, at, answers in said
    ]
    seed.shuffle(reports)

    for piece in range(pieces):
        await tell(ledger, *reports[piece::pieces])

    held = {both[place] for place in (0, 1) if expected(said, place)}
    assert {one[0] for one in standing(owner)} & set(both) == held
    before = everything(owner)
    await apply_again(ledger, owner)
    assert everything(owner) == before


async def test_what_a_vendor_dates_in_the_future_happened_when_it_was_told(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    workspace = uuid4()
    await tell(ledger, of_person(Kind.RESUMED, workspace, NOW + timedelta(days=365_000)))
    assert owner.execute("SELECT occurred_at <= received_at FROM fleet.events").fetchone() == (True,)

    await tell(ledger, of_person(Kind.STOPPED, workspace))

    assert reasons(owner) == ["stopped"]


async def test_applied_a_second_time_nothing_changes(ledger: Pool, owner: psycopg.Connection) -> None:
    workspace = uuid4()
    kinds = [*BY_ATTEMPT, *BY_PERSON, Kind.DELIVERED, Kind.SOFT_BOUNCED, Kind.OPENED, Kind.RESUMED, Kind.FAILED]
    started = await sent(ledger, owner, workspace, len(kinds))
    said = [
        report(started, kind, index) if KINDS[kind].proves else of_person(kind, None, channel=None)
        for index, kind in enumerate(kinds)
    ]
    again = [report(started, kind, index) for index in range(3) for kind in ("delivered", "opened", "soft_bounced")]
    assert (await tell(ledger, *said, *again)).applied == len(said) + len(again)
    before = everything(owner)
    for seconds in (3600, 90 * 86_400):
        travel(owner, seconds)

        assert (await apply_again(ledger, owner)).applied == len(said) + len(again)

        assert everything(owner) == before


async def test_what_was_released_stays_so_when_its_event_is_applied_again(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    await told_of(ledger, owner, Kind.BOUNCED, uuid4())
    owner.execute("UPDATE fleet.suppressions SET released_at = created_at + interval '1 microsecond'")

    await apply_again(ledger, owner)
    assert reasons(owner) == []

    await told_of(ledger, owner, Kind.BOUNCED, next(iter(workspaces(owner))))
    assert reasons(owner) == ["bounced"], "it bounced again, after the release"


def workspaces(owner: psycopg.Connection) -> set[UUID]:
    return {row[0] for row in owner.execute("SELECT workspace_id FROM channel_outbox")}


async def soft(
    pool: Pool, owner: psycopg.Connection, started: Started, *days: float, index: int | None = None, told: float = 0.0
) -> None:
    """Soft bounces of different messages, so many days from now, each told at once or on the day `told`."""
    for number, day in enumerate(days):
        of = number if index is None else index
        travel(owner, max(day, told) * 86_400)
        await tell(pool, report(started, "soft_bounced", of, occurred_at=NOW + timedelta(days=day)))


async def test_soft_bounces_of_several_messages_suppress_for_a_while(ledger: Pool, owner: psycopg.Connection) -> None:
    workspace = uuid4()
    started = await sent(ledger, owner, workspace, 3)

    await soft(ledger, owner, started, 0, 1)
    assert reasons(owner) == []
    await soft(ledger, owner, started, 2, 3, 4, index=1)
    assert reasons(owner) == [], "they are of the same message"
    await soft(ledger, owner, started, 2, index=2)

    assert standing(owner) == {(workspace, "sms", PERSON, "soft_bounced")}
    last, end = owner.execute("SELECT created_at, expires_at FROM fleet.suppressions").fetchall()[0]
    assert last == NOW + timedelta(days=4)
    assert end == last + timedelta(days=effects.SOFT_REST_DAYS)
    travel(owner, timedelta(days=4 + effects.SOFT_REST_DAYS, hours=1).total_seconds())
    assert reasons(owner) == []


async def test_soft_bounces_far_apart_suppress_nobody(ledger: Pool, owner: psycopg.Connection) -> None:
    started = await sent(ledger, owner, uuid4(), 6)

    await soft(ledger, owner, started, 0, 1, effects.SOFT_WINDOW_DAYS, effects.SOFT_WINDOW_DAYS + 1, 40, 60)

    assert reasons(owner) == []


async def test_soft_bounces_that_are_told_late_suppress_as_if_they_had_been_told_at_once(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    started = await sent(ledger, owner, uuid4(), 3)
    await soft(ledger, owner, started, 0, 1)

    await soft(ledger, owner, started, 2, index=2, told=20)
    assert reasons(owner) == ["soft_bounced"]

    travel(owner, 33 * 86_400)
    assert reasons(owner) == []


async def test_after_a_release_soft_bounces_count_anew(ledger: Pool, owner: psycopg.Connection) -> None:
    started = await sent(ledger, owner, uuid4(), 6)
    await soft(ledger, owner, started, 0, 1, 2)
    owner.execute("UPDATE fleet.suppressions SET released_at = %s", (NOW + timedelta(days=3),))

    await soft(ledger, owner, started, 4, index=3)
    await soft(ledger, owner, started, 5, index=4)
    assert reasons(owner) == []
    await soft(ledger, owner, started, 6, index=5)

    assert reasons(owner) == ["soft_bounced"]


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    days=st.lists(st.integers(0, 40), min_size=3, max_size=7),
    seed=st.randoms(use_true_random=False),
    pieces=st.integers(1, 7),
)
async def test_soft_bounces_in_any_order_come_to_the_same(
    ledger: Pool, owner: psycopg.Connection, days: list[int], seed: random.Random, pieces: int
) -> None:
    owner.execute("TRUNCATE fleet.suppressions, fleet.events")
    with owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute("DELETE FROM channel_outbox")
    started = await sent(ledger, owner, uuid4(), len(days))
    reports = [
        report(started, "soft_bounced", index, occurred_at=NOW + timedelta(days=day)) for index, day in enumerate(days)
    ]
    seed.shuffle(reports)
    travel(owner, 41 * 86_400)

    for piece in range(pieces):
        await tell(ledger, *reports[piece::pieces])

    window = effects.SOFT_WINDOW_DAYS
    full = [day for day in days if sum(day - window < other <= day for other in days) >= effects.SOFT_BOUNCES]
    kept = [row[0] for row in owner.execute("SELECT created_at FROM fleet.suppressions")]
    assert kept == ([NOW + timedelta(days=max(full))] if full else [])
    before = everything(owner)
    await apply_again(ledger, owner)
    assert everything(owner) == before


async def test_workers_that_apply_one_soft_bounce_each_find_the_third(ledger: Pool, owner: psycopg.Connection) -> None:
    for _ in range(5):
        workspace = uuid4()
        started = await sent(ledger, owner, workspace, 3)
        await events.store(ledger, [report(started, "soft_bounced", index) for index in range(3)])
        ids = await events.claim(ledger, limit=10, lease_seconds=60)

        await asyncio.gather(*(events.apply(ledger, [id_]) for id_ in ids))

        assert (workspace, "sms", PERSON, "soft_bounced") in standing(owner)


async def test_events_of_a_tenant_suppress_in_its_own_workspaces_only(ledger: Pool, owner: psycopg.Connection) -> None:
    """Tenant A signs well with its own secret, and names what is tenant B's: the message, the number, the person."""
    theirs, ours = uuid4(), uuid4()
    started = await sent(ledger, owner, theirs)
    owner.execute(
        "INSERT INTO voice_phone_numbers (tenant_id, phone_number, provider) VALUES (%s, '+15005550006', 'twilio')",
        (theirs,),
    )

    assert (await tell(ledger, report(started, "bounced", tenant_id=ours))).applied == 0
    stop = of_person(Kind.STOPPED, None, tenant_id=ours, message_id=started.ids[0], our_address="+15005550006")
    await tell(ledger, stop)

    assert standing(owner) == {(ours, "sms", PERSON, "stopped")}


async def test_a_stop_at_the_environments_number_is_of_who_owns_it_else_of_who_wrote_last(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    owns = uuid4()
    owner.execute(
        "INSERT INTO voice_phone_numbers (tenant_id, phone_number, provider) VALUES (%s, '+15005550006', 'twilio')",
        (owns,),
    )
    wrote = uuid4()
    await sent(ledger, owner, wrote)
    await tell(ledger, of_person(Kind.STOPPED, None, our_address="+15005550006"))
    assert standing(owner) == {(owns, "sms", PERSON, "stopped")}

    owner.execute("UPDATE voice_phone_numbers SET is_active = false")
    await tell(ledger, of_person(Kind.STOPPED, None, our_address="+15005550006"))

    assert standing(owner) == {(owns, "sms", PERSON, "stopped"), (wrote, "sms", PERSON, "stopped")}


async def test_a_number_that_several_have_is_of_the_first_that_still_uses_it(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    owner.execute("ALTER TABLE voice_phone_numbers DROP CONSTRAINT voice_phone_numbers_phone_number_key")
    left, first, second = uuid4(), uuid4(), uuid4()
    for tenant, days, is_active in ((second, 1, True), (first, 2, True), (left, 3, False)):
        owner.execute(
            "INSERT INTO voice_phone_numbers (tenant_id, phone_number, provider, is_active, created_at)"
            " VALUES (%s, '+15005550006', 'twilio', %s, now() - make_interval(days => %s))",
            (tenant, is_active, days),
        )
    await tell(ledger, of_person(Kind.STOPPED, None, our_address="+15005550006"))
    assert standing(owner) == {(first, "sms", PERSON, "stopped")}


async def test_an_address_that_the_vendor_writes_differently_is_the_one_that_it_was_given(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    workspace = uuid4()
    started = await sent(ledger, owner, workspace)

    await tell(ledger, report(started, "bounced", address="Somebody <else@mail.io>"))

    assert standing(owner) == {(workspace, "sms", PERSON, "bounced")}


async def test_a_late_bounce_of_a_delivered_message_suppresses_and_remains_on_it(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    started = await sent(ledger, owner, uuid4())

    await tell(ledger, report(started, "delivered"))
    await tell(ledger, report(started, "complained"), report(started, "bounced"))

    assert (status_of(owner, started.ids[0]), column_of(owner, started.ids[0], "error_code")) == (
        "delivered",
        "complained",
    )
    assert reasons(owner) == ["bounced", "complained"]


async def test_of_a_message_that_was_taken_back_the_bounce_suppresses_all_the_same(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    started = await sent(ledger, owner, uuid4())
    put(owner, started.ids[0], status="cancelled")

    await tell(ledger, report(started, "bounced"))

    assert status_of(owner, started.ids[0]) == "cancelled"
    assert reasons(owner) == ["bounced"]


def test_every_reason_is_brought_about_by_something() -> None:
    by_events = {facts.suppresses for facts in KINDS.values() if facts.suppresses}
    assert by_events | {Reason.SOFT_BOUNCED, Reason.MANUAL} == set(Reason)
