"""The ledger cannot be reset from outside: what roles other than the fleet may do to a message, and what not."""

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from outbox.migrate.runner import migrate
from outbox.states import Status
from tests.conftest import Servers
from tests.factories import column_of, insert, status_of

from . import other_servers

# (status, attempts of the fleet, change)
ALLOWED = [
    ("scheduled", 0, "payload = '{}', scheduled_at = now(), recipient_email = 'x@example.com'"),
    ("scheduled", 0, "status = 'cancelled'"),
    ("scheduled", 2, "status = 'cancelled'"),
    ("queued", 0, "status = 'cancelled'"),
    ("draft", 0, "payload = '{}'"),
    ("draft", 0, "status = 'scheduled'"),
    ("draft", 0, "status = 'cancelled'"),
    (None, 0, "status = 'scheduled'"),
    ("scheduled", 0, "status = 'draft'"),
    # A sender of the platform's own says what it did, and later what became of it.
    ("scheduled", 0, "status = 'sent', sent_at = now(), provider_response = '{}'"),
    ("scheduled", 0, "status = 'failed', error_code = '500', error_message = 'refused'"),
    ("sent", 0, "status = 'delivered'"),
    ("sent", 0, "status = 'failed', provider_response = '{}'"),
    ("delivered", 0, "provider_response = '{}'"),
    # Nothing of ours.
    ("sending", 1, "opened_at = now()"),
    ("sent", 1, "opened_at = now()"),
    ("cancelled", 0, "opened_at = now()"),
]
REFUSED = [
    ("scheduled", 2, "payload = '{}'"),
    ("scheduled", 2, "status = 'sent'"),
    ("scheduled", 0, "status = 'queued'"),
    ("scheduled", 0, "status = 'sending'"),
    ("scheduled", 0, "status = 'unknown'"),
    ("scheduled", 0, "status = 'suppressed'"),
    ("queued", 0, "payload = '{}'"),
    ("queued", 0, "status = 'scheduled'"),
    ("queued", 0, "status = 'sent'"),
    ("sending", 1, "status = 'cancelled'"),
    ("sending", 1, "status = 'scheduled'"),
    ("sent", 1, "status = 'scheduled'"),
    ("sent", 1, "status = 'cancelled'"),
    ("sent", 1, "status = 'delivered'"),
    ("sent", 1, "idempotency_key = NULL"),
    ("sent", 1, "sent_at = now()"),
    ("sent", 0, "status = 'scheduled'"),
    ("delivered", 1, "status = 'sent'"),
    ("failed", 3, "status = 'scheduled'"),
    ("failed", 3, "error_message = 'mine'"),
    ("unknown", 1, "status = 'scheduled'"),
    ("cancelled", 0, "status = 'scheduled'"),
    ("suppressed", 0, "status = 'scheduled'"),
]
LEDGER = {
    "id": "gen_random_uuid()",
    "attempts": "1",
    "attempts_forgiven": "1",
    "crashes": "1",
    "lease_token": "gen_random_uuid()",
    "lease_expires_at": "now()",
    "send_key": "gen_random_uuid()",
    "sender": "'+1'",
    "provider_message_id": "'SM1'",
    "error_class": "'rejected'",
    "finalized_at": "now()",
    "poll_at": "now()",
}


@pytest.fixture(scope="module")
def database(servers: Servers) -> Iterator[psycopg.Connection]:
    with other_servers.database(servers.database_url) as url, psycopg.connect(url, autocommit=True) as connection:
        migrate(url, lambda _line: None)
        yield connection


@pytest.fixture
def owner(database: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """The platform's owner; what a test does is taken back in the end."""
    with database.transaction(force_rollback=True):
        yield database


def as_fleet(owner: psycopg.Connection, statement: str, *values: object) -> None:
    with owner.transaction():
        owner.execute("SET LOCAL ROLE fleet")
        owner.execute(statement.encode(), values)
        owner.execute("RESET ROLE")


def message(owner: psycopg.Connection, status: str | None, attempts: int) -> UUID:
    """A message as the fleet, or a sender before it, left it."""
    owner.execute("ALTER TABLE channel_outbox ADD COLUMN IF NOT EXISTS opened_at timestamptz")
    id_ = insert(owner)
    as_fleet(owner, "UPDATE channel_outbox SET status = %s, attempts = %s WHERE id = %s", status, attempts, id_)
    return id_


def change(owner: psycopg.Connection, id_: UUID, changes: str) -> None:
    with owner.transaction():
        owner.execute(f"UPDATE channel_outbox SET {changes} WHERE id = %s".encode(), (id_,))


def delete(owner: psycopg.Connection, id_: UUID) -> None:
    with owner.transaction():
        owner.execute("DELETE FROM channel_outbox WHERE id = %s", (id_,))


@pytest.mark.parametrize(("status", "attempts", "changes"), ALLOWED)
def test_allowed(owner: psycopg.Connection, status: str | None, attempts: int, changes: str) -> None:
    change(owner, message(owner, status, attempts), changes)


@pytest.mark.parametrize(("status", "attempts", "changes"), REFUSED)
def test_refused(owner: psycopg.Connection, status: str | None, attempts: int, changes: str) -> None:
    id_ = message(owner, status, attempts)
    with pytest.raises(InsufficientPrivilege, match="only the fleet"):
        change(owner, id_, changes)
    assert status_of(owner, id_) == status


@pytest.mark.parametrize("column", LEDGER)
def test_the_ledgers_own_columns_are_the_fleets(owner: psycopg.Connection, column: str) -> None:
    id_ = insert(owner)
    before = column_of(owner, id_, column)
    with pytest.raises(InsufficientPrivilege, match="columns of its ledger"):
        change(owner, id_, f"{column} = {LEDGER[column]}")
    assert column_of(owner, id_, column) == before


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.SCHEDULED])
def test_every_status_but_scheduled_closes_a_message(owner: psycopg.Connection, status: Status) -> None:
    id_ = message(owner, status, 1)
    with pytest.raises(InsufficientPrivilege):
        change(owner, id_, "payload = '{}'")
    with pytest.raises(InsufficientPrivilege):
        delete(owner, id_)


def test_taking_a_message_back_ends_its_claim(owner: psycopg.Connection) -> None:
    id_ = insert(owner)
    as_fleet(
        owner,
        "UPDATE channel_outbox SET status = 'queued', lease_token = gen_random_uuid(), lease_expires_at = now() "
        "WHERE id = %s",
        id_,
    )
    change(owner, id_, "status = 'cancelled'")
    row = [column_of(owner, id_, name) for name in ("lease_token", "lease_expires_at", "finalized_at")]
    assert row[:2] == [None, None]
    assert row[2] is not None


@pytest.mark.parametrize(
    ("status", "attempts"), [("scheduled", 0), ("draft", 0), (None, 0), ("sent", 0), ("failed", 0)]
)
def test_what_the_fleet_never_touched_may_be_deleted(
    owner: psycopg.Connection, status: str | None, attempts: int
) -> None:
    delete(owner, message(owner, status, attempts))
    assert owner.execute("SELECT count(*) FROM channel_outbox").fetchone() == (0,)


def test_a_message_that_the_fleet_ended_before_any_attempt_stays(owner: psycopg.Connection) -> None:
    id_ = message(owner, "failed", 0)
    as_fleet(owner, "UPDATE channel_outbox SET finalized_at = now() WHERE id = %s", id_)
    with pytest.raises(InsufficientPrivilege):
        delete(owner, id_)
    with pytest.raises(InsufficientPrivilege):
        change(owner, id_, "status = 'sent'")


def test_one_refused_row_refuses_the_whole_statement(owner: psycopg.Connection) -> None:
    untouched = insert(owner)
    message(owner, "sent", 1)
    with pytest.raises(InsufficientPrivilege), owner.transaction():
        owner.execute("UPDATE channel_outbox SET status = 'scheduled', payload = '{}'")
    assert column_of(owner, untouched, "payload") != {}


def test_emptying_the_table_is_its_owners_business(owner: psycopg.Connection) -> None:
    message(owner, "sent", 1)
    owner.execute("TRUNCATE channel_outbox")
    assert owner.execute("SELECT count(*) FROM channel_outbox").fetchone() == (0,)


def test_a_message_without_any_time_is_due_when_it_was_written(owner: psycopg.Connection) -> None:
    id_ = insert(owner, scheduled_at=None, created_at=None)
    assert column_of(owner, id_, "created_at") is not None
    as_fleet(owner, "UPDATE channel_outbox SET scheduled_at = now() + interval '1 day' WHERE id = %s", id_)
    change(owner, id_, "scheduled_at = NULL, created_at = NULL")
    assert column_of(owner, id_, "created_at") is not None


def test_a_function_with_its_owners_rights_is_no_way_around(owner: psycopg.Connection) -> None:
    id_ = message(owner, "sent", 1)
    owner.execute(
        "CREATE FUNCTION again() RETURNS void LANGUAGE sql SECURITY DEFINER "
        "AS $$ UPDATE public.channel_outbox SET status = 'scheduled' $$"
    )
    with pytest.raises(InsufficientPrivilege), owner.transaction():
        owner.execute("SELECT again()")
    assert status_of(owner, id_) == "sent"
