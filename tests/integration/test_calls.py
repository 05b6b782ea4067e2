"""voice_call_records: one row a call, the same whatever the order of its reports, and nobody else's."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from config.channels import Channel
from config.database import Pool
from config.vocabulary import Kind
from outbox import effects, events
from outbox.events import Report
from outbox.settlements import Ended, settle
from outbox.states import Status
from providers.base import PROVIDER_WIDE, attempt_id
from tests.factories import insert, status_of
from tests.started import Started, start

from .test_events import tell

BEGAN = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
CALLER = "+14155550100"
OURS = "+14155550199"
_COLUMNS = """
    id, tenant_id, phone_number_id, vapi_call_id, lead_id, direction, duration_seconds, transcript, summary, sentiment,
    status, created_at
"""


def said(kind: Kind, *, second: int = 0, provider: str = "vapi", call_id: str = "call-1", **columns: Any) -> Report:
    """One report of a call; what is no column of an event is of the call."""
    own = {name: columns.pop(name) for name in list(columns) if name in Report.__dataclass_fields__}
    values: dict[str, Any] = {
        "provider": provider,
        "tenant_id": PROVIDER_WIDE,
        "event_id": str(uuid4()),
        "kind": kind,
        "occurred_at": BEGAN + timedelta(seconds=second),
        "details": {"call": {"call_id": call_id, "direction": "outbound", **columns}},
        "body": {},
    }
    return Report(**{**values, **own})


def records(owner: psycopg.Connection, columns: str = _COLUMNS) -> list[tuple[Any, ...]]:
    return owner.execute(f"SELECT {columns} FROM voice_call_records ORDER BY id".encode()).fetchall()


def record(owner: psycopg.Connection) -> dict[str, Any]:
    (row,) = owner.execute("SELECT to_jsonb(v) FROM voice_call_records v").fetchall()
    found: dict[str, Any] = row[0]
    return found


def lead(owner: psycopg.Connection, workspace: UUID, **columns: str) -> UUID:
    owner.execute("INSERT INTO workspaces (id, name) VALUES (%s, 'w') ON CONFLICT DO NOTHING", (workspace,))
    row = owner.execute(
        "INSERT INTO leads (workspace_id, email, phone) VALUES (%s, %s, %s) RETURNING id",
        (workspace, columns.get("email"), columns.get("phone")),
    ).fetchone()
    assert row
    id_: UUID = row[0]
    return id_


def number(owner: psycopg.Connection, tenant: UUID, phone: str | None, provider_id: str | None = None) -> UUID:
    row = owner.execute(
        "INSERT INTO voice_phone_numbers (tenant_id, phone_number, provider, provider_id) VALUES (%s, %s, 'vapi', %s)"
        " RETURNING id",
        (tenant, phone, provider_id),
    ).fetchone()
    assert row
    id_: UUID = row[0]
    return id_


async def called(
    pool: Pool, owner: psycopg.Connection, provider: str = "vapi", calls: int = 1, **columns: Any
) -> Started:
    """Calls that the vendor took: call-1, call-2, ..."""
    for _ in range(calls):
        insert(owner, "voice", **columns)
    started = await start(pool, Channel.VOICE, provider=provider, body=None)
    taken: dict[str, Any] = {"provider": provider, "address": CALLER, "sender": OURS}
    rows = [
        started.settlement(id_, Status.SENT, provider_message_id=f"call-{place}", **taken)
        for place, id_ in enumerate(started.ids, 1)
    ]
    await settle(pool, rows, [Ended(started.send_key, started.lease)], worker="test")
    return started


def of(started: Started, kind: Kind, place: int = 1, **columns: Any) -> Report:
    """One report of a call that we made."""
    id_ = started.ids[place - 1]
    marks: dict[str, Any] = {
        "message_id": id_,
        "attempt_id": attempt_id(started.send_key, id_),
        "provider_message_id": f"call-{place}",
    }
    return said(kind, call_id=f"call-{place}", **marks, **columns)


def reports(started: Started, place: int = 1) -> list[Report]:
    """What Vapi may say of one call, in the order in which it happens."""
    ended = Kind.CALL_ENDED
    return [
        of(started, Kind.CALL_ANSWERED, place, second=0),
        of(started, ended, place, second=60, duration_seconds=58),
        of(started, ended, place, second=61, transcript="Hello", summary="A greeting", sentiment="neutral"),
        of(started, ended, place, second=90, transcript="Hello. Goodbye.", sentiment="positive", duration_seconds=60),
    ]


async def test_a_call_becomes_one_row(ledger: Pool, owner: psycopg.Connection) -> None:
    workspace, tenant = uuid4(), uuid4()
    known = lead(owner, workspace, phone="+1 415 555-0111")
    ours = number(owner, tenant, OURS, "number-1")
    started = await called(ledger, owner, workspace_id=workspace, tenant_id=tenant, recipient_id=known)

    await tell(ledger, *(of(started, Kind.CALL_ENDED, status="completed", duration_seconds=5, number_id="number-1"),))

    found = record(owner)
    assert (found["tenant_id"], found["phone_number_id"], found["lead_id"]) == (str(tenant), str(ours), str(known))
    assert (found["vapi_call_id"], found["direction"]) == ("call-1", "outbound")
    assert (found["status"], found["duration_seconds"], found["transcript"]) == ("completed", 5, None)
    assert datetime.fromisoformat(found["created_at"]) == BEGAN
    assert status_of(owner, started.ids[0]) == "delivered"


async def test_every_order_comes_to_the_same_row(ledger: Pool, owner: psycopg.Connection) -> None:
    workspace = uuid4()
    orders = list(itertools.permutations(range(4)))
    started = await called(ledger, owner, calls=len(orders), workspace_id=workspace)
    said_of = [[reports(started, place)[part] for part in order] for place, order in enumerate(orders, 1)]

    await tell(ledger, *(one for parts in said_of for one in parts[:2]))
    await tell(ledger, *(parts[2] for parts in said_of))
    await tell(ledger, *(parts[3] for parts in said_of))

    rows = records(owner, "tenant_id, duration_seconds, transcript, summary, sentiment, status, created_at")
    assert rows == [(workspace, 60, "Hello. Goodbye.", "A greeting", "positive", "completed", BEGAN)] * len(orders)


async def test_the_same_events_a_second_time_change_nothing(ledger: Pool, owner: psycopg.Connection) -> None:
    started = await called(ledger, owner)
    await tell(ledger, *reports(started))
    before = records(owner, f"xmin::text, {_COLUMNS}")
    ids = [row[0] for row in owner.execute("SELECT id FROM fleet.events")]

    await events.apply(ledger, ids)
    async with ledger.connection() as connection, connection.transaction():
        await effects.take(connection, ids)

    assert records(owner, f"xmin::text, {_COLUMNS}") == before
    assert len(before) == 1


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        ([Kind.NO_ANSWER], "no_answer"),
        ([Kind.CALL_FAILED], "failed"),
        ([Kind.CALL_ENDED, Kind.CALL_FAILED], "completed"),
        ([Kind.CALL_FAILED, Kind.CALL_ENDED], "completed"),
        ([Kind.NO_ANSWER, Kind.CALL_FAILED], "failed"),
        ([Kind.CALL_ENDED, Kind.CALL_ANSWERED], "completed"),
        ([Kind.CALL_ANSWERED], None),
    ],
)
async def test_an_end_is_never_lowered(
    ledger: Pool, owner: psycopg.Connection, kinds: list[Kind], status: str | None
) -> None:
    started = await called(ledger, owner, provider="twilio")
    for kind in kinds:
        await tell(ledger, of(started, kind, provider="twilio"))

    assert records(owner, "status, vapi_call_id") == [(status, None)]


async def test_what_the_vendor_says_of_the_end_wins_over_the_kind(ledger: Pool, owner: psycopg.Connection) -> None:
    started = await called(ledger, owner)
    await tell(ledger, of(started, Kind.CALL_FAILED, status="no_answer"))
    assert records(owner, "status") == [("no_answer",)]


async def test_a_row_of_the_platforms_own_is_filled_and_not_doubled(ledger: Pool, owner: psycopg.Connection) -> None:
    tenant = uuid4()
    started = await called(ledger, owner, workspace_id=tenant)
    owner.execute(
        "INSERT INTO voice_call_records (tenant_id, vapi_call_id, transcript, sentiment, status) VALUES"
        " (%s, 'call-1', 'Hello. Goodbye. And more.', 'negative', 'queued')",
        (tenant,),
    )
    stranger = uuid4()
    owner.execute("INSERT INTO voice_call_records (tenant_id, vapi_call_id) VALUES (%s, 'call-1')", (stranger,))
    made_at: dict[UUID, datetime] = dict(
        owner.execute("SELECT tenant_id, created_at FROM voice_call_records").fetchall()
    )

    await tell(ledger, *reports(started))

    found = {row[0]: row[1:] for row in records(owner, "tenant_id, transcript, summary, sentiment, status, created_at")}
    assert found == {
        tenant: ("Hello. Goodbye. And more.", "A greeting", "negative", "completed", made_at[tenant]),
        stranger: (None, None, None, None, made_at[stranger]),
    }


@pytest.mark.parametrize(("provider", "vapi_call_id"), [("vapi", "call-9"), ("twilio", None)])
async def test_a_call_that_comes_in_is_of_whoever_has_the_number(
    ledger: Pool, owner: psycopg.Connection, provider: str, vapi_call_id: str | None
) -> None:
    tenant, other = uuid4(), uuid4()
    ours = number(owner, tenant, OURS)
    lead(owner, other, phone=CALLER)
    known = lead(owner, tenant, phone="(415) 555-0100")
    inbound: dict[str, Any] = {
        "provider": provider,
        "call_id": "call-9",
        "direction": "inbound",
        "our_number": OURS,
        "address": CALLER,
        "our_address": OURS,
        "channel": Channel.VOICE,
    }

    await tell(ledger, said(Kind.CALL_RECEIVED, **inbound))
    await tell(ledger, said(Kind.CALL_RECEIVED, second=40, status="completed", transcript="Hi", **inbound))

    columns = "tenant_id, phone_number_id, vapi_call_id, lead_id, direction, transcript, status"
    assert records(owner, columns) == [(tenant, ours, vapi_call_id, known, "inbound", "Hi", "completed")]


async def test_a_call_of_nobodys_number_waits(ledger: Pool, owner: psycopg.Connection) -> None:
    one = said(Kind.CALL_RECEIVED, direction="inbound", address=CALLER, our_address=OURS)
    assert (await tell(ledger, one)).waiting == 1
    assert records(owner) == []


async def test_another_tenant_that_names_the_same_call_has_its_own_row(ledger: Pool, owner: psycopg.Connection) -> None:
    started = await called(ledger, owner)
    await tell(ledger, of(started, Kind.CALL_ENDED, transcript="Ours"))
    thief = uuid4()

    await tell(
        ledger,
        said(Kind.CALL_RECEIVED, tenant_id=thief, transcript="Theirs, and longer", direction="inbound", address=CALLER),
        of(started, Kind.CALL_ENDED, tenant_id=thief, transcript="Theirs, and longer still"),
    )

    found = dict(records(owner, "tenant_id, transcript"))
    assert found.pop(thief) == "Theirs, and longer"
    assert list(found.values()) == ["Ours"]


async def test_reports_that_are_applied_at_the_same_time_meet_in_one_row(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    tenant = uuid4()
    inbound: dict[str, Any] = {"direction": "inbound", "tenant_id": tenant, "address": CALLER}
    pieces: list[dict[str, Any]] = [
        {"transcript": "Hi"},
        {"summary": "Short"},
        {"sentiment": "positive"},
        {"duration_seconds": 9},
    ]
    await events.store(ledger, [said(Kind.CALL_RECEIVED, **inbound, **piece) for piece in pieces])
    ids = await events.claim(ledger, limit=10, lease_seconds=60)

    await asyncio.gather(*(events.apply(ledger, [id_]) for id_ in ids))

    assert records(owner, "transcript, summary, sentiment, duration_seconds") == [("Hi", "Short", "positive", 9)]


async def test_what_the_owners_table_refuses_is_not_in_the_way_of_proof(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    started = await called(ledger, owner)
    owner.execute("ALTER TABLE voice_call_records ADD CHECK (sentiment IN ('good', 'bad'))")
    unknown = said(Kind.CALL_RECEIVED, call_id="call-2", direction="inbound", tenant_id=uuid4(), address=CALLER)

    done = await tell(ledger, of(started, Kind.CALL_ENDED, sentiment="delighted"), unknown)

    assert done == events.Applied(2)
    assert status_of(owner, started.ids[0]) == "delivered"
    assert records(owner, "direction, sentiment") == [("inbound", None)]


async def test_an_owners_table_of_other_types_is_filled(ledger: Pool, owner: psycopg.Connection) -> None:
    owner.execute("CREATE TYPE call_end AS ENUM ('completed', 'failed', 'no_answer')")
    owner.execute("CREATE CAST (text AS call_end) WITH INOUT AS ASSIGNMENT")
    owner.execute(
        "ALTER TABLE voice_call_records ALTER status TYPE call_end USING status::call_end,"
        " ALTER direction TYPE varchar(8), ALTER duration_seconds TYPE bigint, ALTER transcript TYPE varchar"
    )
    started = await called(ledger, owner)
    for one in reports(started):
        await tell(ledger, one)
    assert records(owner, "direction, duration_seconds, transcript, status") == [
        ("outbound", 60, "Hello. Goodbye.", "completed")
    ]


async def test_events_of_no_call_write_no_row(ledger: Pool, owner: psycopg.Connection) -> None:
    started = await called(ledger, owner)
    await tell(ledger, of(started, Kind.CALL_ENDED, details=None), of(started, Kind.OPENED, details={"text": "x"}))
    assert records(owner) == []
