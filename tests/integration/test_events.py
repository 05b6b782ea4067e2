"""Events as proof: once, in any order, for its own tenant's messages only, and never downwards."""

import asyncio
import itertools
import random
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from config.channels import Channel
from config.database import Pool
from config.vocabulary import Kind
from outbox import batches, events
from outbox.events import Report
from outbox.search import retry
from outbox.settlements import Ended, settle
from outbox.states import Status
from providers.base import PROVIDER_WIDE, attempt_id
from tests.factories import attempts_of, column_of, insert, status_of, travel
from tests.started import Started, start

KINDS = ("accepted", "delivered", "failed")


def report(started: Started, kind: str = "accepted", index: int = 0, **columns: Any) -> Report:
    """What Twilio says of one member of a batch."""
    id_ = started.ids[index]
    values: dict[str, Any] = {
        "provider": "twilio",
        "tenant_id": PROVIDER_WIDE,
        "event_id": str(uuid4()),
        "kind": Kind(kind),
        "provider_message_id": f"vendor-{started.send_key}-{index}",
        "message_id": id_,
        "attempt_id": attempt_id(started.send_key, id_),
        "code": "30003" if kind == "failed" else None,
        "reason": "unreachable" if kind == "failed" else None,
        "body": {"MessageStatus": kind},
    }
    return Report(**{**values, **columns})


async def tell(pool: Pool, *reports: Report) -> events.Applied:
    """Store events and apply what is due."""
    await events.store(pool, reports)
    return await events.apply(pool, await events.claim(pool, limit=100, lease_seconds=60))


async def sending(pool: Pool) -> Started:
    return await start(pool, Channel.SMS, provider="twilio", body=None)


async def settled(pool: Pool, started: Started, status: Status, **columns: Any) -> None:
    """Settle every member of a batch alike."""
    ids = {"provider_message_id": None} | columns
    rows = [
        started.settlement(id_, status, **{"provider": "twilio", **ids, "provider_message_id": vendor_id})
        for index, id_ in enumerate(started.ids)
        for vendor_id in [f"vendor-{started.send_key}-{index}" if status is Status.SENT else None]
    ]
    await settle(pool, rows, [Ended(started.send_key, started.lease)], worker="test")


async def tried(pool: Pool, owner: psycopg.Connection, status: Status = Status.UNKNOWN, **columns: Any) -> Started:
    """One message after its first attempt."""
    insert(owner, "sms", **columns)
    started = await sending(pool)
    await settled(pool, started, status)
    return started


def put(owner: psycopg.Connection, id_: UUID, **columns: Any) -> None:
    """Bring a message to a state as the fleet's own statements would."""
    pairs = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), value) for name, value in columns.items()
    )
    with owner.transaction():
        owner.execute("SET LOCAL ROLE fleet")
        owner.execute(sql.SQL("UPDATE channel_outbox SET {} WHERE id = {}").format(pairs, id_))


def resolutions(owner: psycopg.Connection, id_: UUID) -> list[tuple[Any, ...]]:
    return owner.execute(
        "SELECT number, outcome, resolution, resolved_by, provider_message_id IS NOT NULL FROM fleet.attempts "
        "WHERE message_id = %s ORDER BY number",
        (id_,),
    ).fetchall()


def duplicates(owner: psycopg.Connection) -> list[str]:
    return [row[0] for row in owner.execute("SELECT subject FROM fleet.audit_log WHERE action = 'duplicate'")]


@pytest.mark.parametrize(("kind", "end"), [("accepted", "sent"), ("delivered", "delivered"), ("failed", "failed")])
async def test_each_kind_proves_an_unknown_attempt(
    ledger: Pool, owner: psycopg.Connection, kind: str, end: str
) -> None:
    started = await tried(ledger, owner)
    (id_,) = started.ids

    assert await tell(ledger, report(started, kind)) == events.Applied(1)

    assert status_of(owner, id_) == end
    assert column_of(owner, id_, "provider_message_id") == f"vendor-{started.send_key}-0"
    assert column_of(owner, id_, "sent_at") is not None
    assert resolutions(owner, id_) == [(1, "unknown", "accepted", "event", True)]
    expected = ("undelivered", "30003", "unreachable") if kind == "failed" else (None, None, None)
    assert tuple(column_of(owner, id_, f"error_{name}") for name in ("class", "code", "message")) == expected
    assert (column_of(owner, id_, "finalized_at") is None) == (kind == "accepted")


@pytest.mark.parametrize("status", ["scheduled", "queued", "unknown", "exhausted", "expired"])
async def test_late_proof_ends_the_trying_wherever_the_message_is(
    ledger: Pool, owner: psycopg.Connection, status: str
) -> None:
    started = await tried(ledger, owner)
    (id_,) = started.ids
    failed = status in {"exhausted", "expired"}
    put(owner, id_, status="failed" if failed else status, error_class=status if failed else None, lease_token=uuid4())

    await tell(ledger, report(started))

    assert status_of(owner, id_) == "sent"
    for column in ("lease_token", "lease_expires_at", "error_class", "error_code", "finalized_at"):
        assert column_of(owner, id_, column) is None


@pytest.mark.parametrize("status", ["cancelled", "suppressed"])
async def test_what_was_taken_back_stays_so_and_the_proof_is_kept(
    ledger: Pool, owner: psycopg.Connection, status: str
) -> None:
    started = await tried(ledger, owner)
    (id_,) = started.ids
    put(owner, id_, status=status)

    assert await tell(ledger, report(started, "delivered")) == events.Applied(1)

    assert status_of(owner, id_) == status
    assert resolutions(owner, id_)[0][2] == "accepted"


@pytest.mark.parametrize("order", [*itertools.permutations(KINDS), ("accepted", "failed"), ("delivered", "accepted")])
@pytest.mark.parametrize("together", [True, False])
async def test_any_order_comes_to_the_same(
    ledger: Pool, owner: psycopg.Connection, order: tuple[str, ...], together: bool
) -> None:
    started = await tried(ledger, owner)
    reports = [report(started, kind) for kind in order]

    for some in [reports] if together else [[one] for one in reports]:
        await tell(ledger, *some)

    assert status_of(owner, started.ids[0]) == ("delivered" if "delivered" in order else "failed")
    assert owner.execute("SELECT count(*) FROM fleet.events WHERE applied_at IS NULL").fetchone() == (0,)
    assert duplicates(owner) == []


async def test_an_event_is_stored_once_and_applied_once(ledger: Pool, owner: psycopg.Connection) -> None:
    started = await tried(ledger, owner)
    one = report(started, event_id="SM1:sent")

    assert await events.store(ledger, [one]) == 1
    assert await events.store(ledger, [one, one]) == 0
    ids = await events.claim(ledger, limit=10, lease_seconds=60)
    assert await events.claim(ledger, limit=10, lease_seconds=60) == []
    assert await events.apply(ledger, ids) == events.Applied(1)
    before = owner.execute("SELECT xmin::text FROM channel_outbox").fetchone()
    assert await events.apply(ledger, ids) == events.Applied(1)

    assert owner.execute("SELECT xmin::text FROM channel_outbox").fetchone() == before
    travel(owner, 100_000)
    assert await events.claim(ledger, limit=10, lease_seconds=60) == []


async def test_another_tenants_account_proves_nothing(ledger: Pool, owner: psycopg.Connection) -> None:
    """Tenant A signs well with its own secret, and names tenant B's message and attempt."""
    started = await tried(ledger, owner, workspace_id=uuid4())

    assert (await tell(ledger, report(started, "delivered", tenant_id=uuid4()))).applied == 0

    assert status_of(owner, started.ids[0]) == "unknown"
    assert resolutions(owner, started.ids[0]) == [(1, "unknown", None, None, False)]
    # Nor does its having been first keep the true event out.
    assert (await tell(ledger, report(started, "delivered"))).applied == 1
    assert status_of(owner, started.ids[0]) == "delivered"


async def test_a_mark_under_another_vendors_id_is_not_believed(ledger: Pool, owner: psycopg.Connection) -> None:
    started = await tried(ledger, owner, Status.SENT)

    assert (await tell(ledger, report(started, "delivered", provider_message_id="another"))).applied == 0

    assert status_of(owner, started.ids[0]) == "sent"


async def test_without_a_mark_the_vendors_id_finds_the_message(ledger: Pool, owner: psycopg.Connection) -> None:
    started = await tried(ledger, owner, Status.SENT)
    bare: dict[str, Any] = {"message_id": None, "attempt_id": None}

    assert (await tell(ledger, report(started, "delivered", tenant_id=uuid4(), **bare))).applied == 0
    assert (await tell(ledger, report(started, "delivered", **bare))).applied == 1

    assert status_of(owner, started.ids[0]) == "delivered"
    row = owner.execute("SELECT message_id, attempt_id FROM fleet.events WHERE applied_at IS NOT NULL").fetchone()
    assert row == (started.ids[0], attempt_id(started.send_key, started.ids[0]))


async def test_while_it_is_sending_the_event_waits_for_the_settlement(ledger: Pool, owner: psycopg.Connection) -> None:
    insert(owner, "sms")
    started = await sending(ledger)
    (id_,) = started.ids

    assert await tell(ledger, report(started, "delivered")) == events.Applied(0, 1)
    assert status_of(owner, id_) == "sending"
    await settled(ledger, started, Status.SENT, response={"sid": "x"})
    travel(owner, 5)
    assert await tell(ledger) == events.Applied(1)

    assert (status_of(owner, id_), column_of(owner, id_, "provider_response")) == ("delivered", {"sid": "x"})
    assert attempts_of(owner, id_) == [(1, "accepted", True)]


async def test_after_a_dead_worker_the_event_settles_its_message(ledger: Pool, owner: psycopg.Connection) -> None:
    insert(owner, "sms")
    started = await sending(ledger)
    (id_,) = started.ids
    for seconds in (0, 10, 20, 40, 59):
        travel(owner, seconds)
        assert (await tell(ledger, report(started))).applied == 0
    travel(owner, 130)
    await batches.expire(ledger, margin_seconds=2, limit=10)

    assert (await tell(ledger)).applied == 5

    assert status_of(owner, id_) == "sent"
    assert resolutions(owner, id_) == [(1, "unknown", "accepted", "event", True)]


async def test_an_event_that_nobody_knows_is_given_up_and_kept(ledger: Pool, owner: psycopg.Connection) -> None:
    started = await tried(ledger, owner)
    await events.store(ledger, [report(started, message_id=uuid4(), attempt_id=uuid4())])
    waits = 0
    given_up: list[int] = []
    for number in range(events.TRIES):
        travel(owner, number * 61)
        done = await events.apply(ledger, await events.claim(ledger, limit=10, lease_seconds=60))
        waits += done.waiting
        given_up += done.given_up

    assert (waits, len(given_up)) == (events.TRIES - 1, 1)
    row = owner.execute("SELECT applied_at, next_try_at, tries, body FROM fleet.events").fetchone()
    assert row == (None, None, events.TRIES, {"MessageStatus": "accepted"})


async def test_an_event_of_a_message_that_is_sending_is_never_given_up(ledger: Pool, owner: psycopg.Connection) -> None:
    insert(owner, "sms")
    started = await sending(ledger)
    await events.store(ledger, [report(started)])
    owner.execute("UPDATE fleet.events SET tries = 1000")

    assert await events.apply(ledger, await events.claim(ledger, limit=10, lease_seconds=60)) == events.Applied(0, 1)


async def tried_twice(pool: Pool, owner: psycopg.Connection) -> tuple[Started, Started]:
    """A message whose first attempt is unknown and whose second is under way, as after a look-up that found nothing."""
    first = await tried(pool, owner)
    put(owner, first.ids[0], status="scheduled", scheduled_at=None)
    return first, await sending(pool)


async def test_two_acceptances_are_flagged_when_the_event_comes_last(ledger: Pool, owner: psycopg.Connection) -> None:
    first, second = await tried_twice(ledger, owner)
    (id_,) = first.ids
    await settled(ledger, second, Status.SENT)

    await tell(ledger, report(first), report(first, "delivered"))

    assert (status_of(owner, id_), column_of(owner, id_, "error_code")) == ("delivered", "duplicate")
    assert duplicates(owner) == [str(id_)]


async def test_two_acceptances_are_flagged_when_the_settlement_comes_last(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    first, second = await tried_twice(ledger, owner)
    (id_,) = first.ids
    assert (await tell(ledger, report(first))).waiting == 1
    assert resolutions(owner, id_)[0][2] == "accepted"

    await settled(ledger, second, Status.SENT)
    travel(owner, 5)
    assert (await tell(ledger)).applied == 1

    assert (status_of(owner, id_), column_of(owner, id_, "error_code")) == ("sent", "duplicate")
    assert duplicates(owner) == [str(id_)]


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.FAILED, Status.UNKNOWN])
async def test_a_settlement_after_proof_ends_as_sent(ledger: Pool, owner: psycopg.Connection, status: Status) -> None:
    first, second = await tried_twice(ledger, owner)
    (id_,) = first.ids
    await tell(ledger, report(first))

    await settled(ledger, second, status, error_code="later", error_class="rejected" if status == "failed" else None)

    assert status_of(owner, id_) == "sent"
    assert column_of(owner, id_, "provider_message_id") == f"vendor-{first.send_key}-0"
    assert (column_of(owner, id_, "error_class"), column_of(owner, id_, "error_code")) == (None, None)
    assert len(attempts_of(owner, id_)) == 2
    assert duplicates(owner) == []


async def test_an_acceptance_of_another_attempt_wins_over_undelivered(ledger: Pool, owner: psycopg.Connection) -> None:
    first, second = await tried_twice(ledger, owner)
    await settled(ledger, second, Status.SENT)

    await tell(ledger, report(first, "failed"))

    assert status_of(owner, first.ids[0]) == "sent"


async def test_what_a_person_tried_again_is_not_undone_by_old_news(ledger: Pool, owner: psycopg.Connection) -> None:
    first = await tried(ledger, owner, Status.SENT)
    (id_,) = first.ids
    await tell(ledger, report(first, "failed"))
    await retry(ledger, [id_], actor="support")

    await tell(ledger, report(first), report(first, "failed"))
    assert status_of(owner, id_) == "scheduled"
    second = await sending(ledger)
    await settled(ledger, second, Status.SENT)
    await tell(ledger, report(first), report(second, "delivered"))

    assert (status_of(owner, id_), column_of(owner, id_, "error_code")) == ("delivered", None)
    assert duplicates(owner) == []


async def test_one_vendors_id_for_two_messages_stops_nobody(ledger: Pool, owner: psycopg.Connection) -> None:
    insert(owner, "sms"), insert(owner, "sms")
    started = await sending(ledger)
    await settled(ledger, started, Status.UNKNOWN)
    same = [report(started, index=index, provider_message_id="same") for index in (0, 1)]

    assert (await tell(ledger, *same)).applied == 2

    assert {status_of(owner, id_) for id_ in started.ids} == {"sent"}
    assert owner.execute("SELECT count(*) FROM fleet.attempts WHERE provider_message_id = 'same'").fetchone() == (1,)


async def test_whatever_a_vendor_says_can_be_stored(ledger: Pool, owner: psycopg.Connection) -> None:
    started = await tried(ledger, owner)
    odd = "\x00\ud800" + "x" * 5_000

    await tell(ledger, report(started, "failed", event_id=odd, code=odd, reason=odd, body={odd: [odd, float("nan")]}))

    assert status_of(owner, started.ids[0]) == "failed"


async def test_an_event_that_the_database_refuses_stops_nobody(ledger: Pool, owner: psycopg.Connection) -> None:
    """A trigger of the platform's own refuses every change of one message."""
    insert(owner, "sms")
    insert(owner, "sms")
    started = await sending(ledger)
    await settled(ledger, started, Status.UNKNOWN)
    refused, fine = started.ids
    owner.execute(
        sql.SQL(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;"
            "CREATE TRIGGER refuse BEFORE UPDATE ON channel_outbox FOR EACH ROW WHEN (OLD.id = {}) "
            "EXECUTE FUNCTION refuse()"
        ).format(sql.Literal(refused))
    )

    assert await tell(ledger, report(started), report(started, index=1)) == events.Applied(1, 1)

    assert (status_of(owner, refused), status_of(owner, fine)) == ("unknown", "sent")


async def test_many_workers_apply_the_same_events_once(ledger: Pool, owner: psycopg.Connection) -> None:
    for _ in range(20):
        insert(owner, "sms")
    started = await sending(ledger)
    await settled(ledger, started, Status.UNKNOWN)
    reports = [report(started, kind, index) for kind in ("delivered", "accepted") for index in range(20)]
    await events.store(ledger, reports)
    ids = await events.claim(ledger, limit=100, lease_seconds=60)
    shuffled = [random.Random(seed).sample(ids, len(ids)) for seed in range(6)]

    await asyncio.gather(*(events.apply(ledger, some) for some in shuffled))

    assert {status_of(owner, id_) for id_ in started.ids} == {"delivered"}
    assert owner.execute("SELECT count(*) FROM fleet.events WHERE applied_at IS NULL OR tries > 0").fetchone() == (0,)
    assert owner.execute("SELECT count(*) FROM fleet.attempts").fetchone() == (20,)
