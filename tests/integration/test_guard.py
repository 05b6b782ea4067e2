"""The ledger cannot be reset from outside: what roles other than the fleet may do to a message, and what not."""

from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from outbox.states import Status
from tests.factories import column_of, insert, status_of

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
    ("sent", 1, "sent_at = NULL"),
    ("sent", 0, "status = 'scheduled'"),
    ("delivered", 1, "status = 'sent'"),
    ("failed", 3, "status = 'scheduled'"),
    ("failed", 3, "error_message = NULL"),
    ("unknown", 1, "status = 'scheduled'"),
    ("cancelled", 0, "status = 'scheduled'"),
    ("suppressed", 0, "status = 'scheduled'"),
]
LEDGER = {
    "id": "gen_random_uuid()",
    "attempts": "1",
    "attempts_forgiven": "1",
    "lease_token": "gen_random_uuid()",
    "lease_expires_at": "now()",
    "send_key": "gen_random_uuid()",
    "sender": "'+1'",
    "provider_message_id": "'SM1'",
    "error_class": "'rejected'",
    "finalized_at": "now()",
}


def as_fleet(owner: psycopg.Connection, statement: str, *values: object) -> None:
    with owner.transaction():
        owner.execute("SET LOCAL ROLE fleet")
        owner.execute(statement.encode(), values)


def message(owner: psycopg.Connection, status: str | None, attempts: int) -> UUID:
    """A message as the fleet, or a sender before it, left it."""
    owner.execute("ALTER TABLE channel_outbox ADD COLUMN IF NOT EXISTS opened_at timestamptz")
    id_ = insert(owner)
    as_fleet(owner, "UPDATE channel_outbox SET status = %s, attempts = %s WHERE id = %s", status, attempts, id_)
    return id_


def change(owner: psycopg.Connection, id_: UUID, changes: str) -> None:
    owner.execute(f"UPDATE channel_outbox SET {changes} WHERE id = %s".encode(), (id_,))


@pytest.mark.parametrize(("status", "attempts", "changes"), ALLOWED)
def test_allowed(owner: psycopg.Connection, status: str | None, attempts: int, changes: str) -> None:
    change(owner, message(owner, status, attempts), changes)


@pytest.mark.parametrize(("status", "attempts", "changes"), REFUSED)
def test_refused(owner: psycopg.Connection, status: str | None, attempts: int, changes: str) -> None:
    id_ = message(owner, status, attempts)
    with pytest.raises(InsufficientPrivilege, match="only the fleet"):
        change(owner, id_, changes)
    assert status_of(owner, id_) == status
