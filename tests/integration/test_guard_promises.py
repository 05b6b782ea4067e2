"""A promise outlives its row, and an insert wakes a sleeping relay: what the triggers do for whoever inserts."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest

from config.database import Pool
from outbox import presence
from tests.factories import insert
from workers.runtime import Runtime

from .conftest import Vendors, deliver
from .test_guard import as_fleet, message


def again(owner: psycopg.Connection, *keys: str | None) -> int:
    """Insert messages with these keys in one statement; return how many rows came of it."""
    return owner.execute(
        "INSERT INTO channel_outbox (channel, idempotency_key) SELECT 'email', unnest(%s::text[])", (list(keys),)
    ).rowcount


def key_of(owner: psycopg.Connection, id_: UUID) -> str:
    (key,) = owner.execute("SELECT idempotency_key FROM channel_outbox WHERE id = %s", (id_,)).fetchone() or ("",)
    return str(key)


@pytest.mark.parametrize(
    ("status", "attempts", "rows"),
    [("sent", 1, 0), ("failed", 2, 0), ("scheduled", 1, 0), ("cancelled", 0, 0), ("scheduled", 0, 1), (None, 0, 1)],
)
def test_a_promise_that_was_tried_is_kept_when_its_row_is_gone(
    owner: psycopg.Connection, status: str | None, attempts: int, rows: int
) -> None:
    id_ = message(owner, status, attempts)
    key = key_of(owner, id_)
    as_fleet(owner, "DELETE FROM channel_outbox WHERE id = %s", id_)
    assert again(owner, key) == rows


async def test_the_same_insert_after_archiving_sends_nothing(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    insertion = (
        "INSERT INTO channel_outbox (workspace_id, channel, recipient_email, payload, status, idempotency_key) VALUES "
        """(gen_random_uuid(), 'email', 'delivered@resend.dev', '{"subject": "a", "text": "b"}', 'scheduled', 'once')"""
    )
    owner.execute(insertion)
    await deliver(worker)
    as_fleet(owner, "DELETE FROM channel_outbox WHERE status = %s", "sent")

    assert owner.execute(insertion).rowcount == 0
    await deliver(worker)

    assert len(await vendors.accepted()) == 1


def test_only_the_kept_ones_of_many_are_left_out(owner: psycopg.Connection) -> None:
    id_ = message(owner, "sent", 1)
    key = key_of(owner, id_)
    as_fleet(owner, "DELETE FROM channel_outbox WHERE id = %s", id_)
    assert again(owner, "one", key, None, "two", None) == 4


def test_what_another_sender_sent_stays_a_kept_promise(owner: psycopg.Connection) -> None:
    id_ = insert(owner)
    key = key_of(owner, id_)
    owner.execute("UPDATE channel_outbox SET status = 'sent' WHERE id = %s", (id_,))
    owner.execute("DELETE FROM channel_outbox WHERE id = %s", (id_,))
    assert again(owner, key) == 0


def test_whoever_inserts_needs_no_right_on_the_fleets_schema(owner: psycopg.Connection) -> None:
    id_ = message(owner, "sent", 1)
    key = key_of(owner, id_)
    as_fleet(owner, "DELETE FROM channel_outbox WHERE id = %s", id_)
    with owner.transaction():
        owner.execute("SET LOCAL ROLE service_role")
        assert owner.execute("SELECT has_schema_privilege('fleet', 'USAGE')").fetchone() == (False,)
        assert again(owner, key, "new") == 1


@pytest.fixture
def listener(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("LISTEN fleet_due")
        yield connection


def heard(listener: psycopg.Connection, owner: psycopg.Connection) -> list[str]:
    """Return what was notified until now: everything before a mark of our own."""
    mark = str(uuid4())
    owner.execute("SELECT pg_notify('fleet_due', %s)", (mark,))
    said: list[str] = []
    for notice in listener.notifies(timeout=60):
        if notice.payload == mark:
            return said
        said.append(notice.payload)
    raise AssertionError("the mark was not heard")


async def test_an_insert_notifies_only_while_no_relay_is_awake(
    owner: psycopg.Connection, listener: psycopg.Connection, ledger: Pool
) -> None:
    relay, another = uuid4(), uuid4()
    insert(owner)
    owner.execute("INSERT INTO job_queue (job_type) VALUES ('any')")
    assert heard(listener, owner) == ["channel_outbox", "job_queue"]
    await presence.relay_awake(ledger, relay, 60)
    await presence.relay_awake(ledger, another, 60)
    insert(owner)
    await presence.relay_asleep(ledger, relay)
    insert(owner)
    assert heard(listener, owner) == []
    await presence.relay_asleep(ledger, another)
    insert(owner)
    assert heard(listener, owner) == ["channel_outbox"]


async def test_a_relay_that_died_awake_is_not_believed_for_ever(
    owner: psycopg.Connection, listener: psycopg.Connection, ledger: Pool
) -> None:
    await presence.relay_awake(ledger, uuid4(), -1)
    insert(owner)
    assert heard(listener, owner) == ["channel_outbox"]


def test_many_rows_in_one_statement_notify_once(owner: psycopg.Connection, listener: psycopg.Connection) -> None:
    assert again(owner, *(None,) * 50) == 50
    assert heard(listener, owner) == ["channel_outbox"]


def test_an_insert_succeeds_where_waking_fails(owner: psycopg.Connection) -> None:
    owner.execute("DROP TABLE fleet.relays")
    assert again(owner, "one") == 1
