"""Rows as the platform inserts them: its own columns, by plain SQL."""

from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

PAYLOADS: dict[str, dict[str, Any]] = {
    "email": {"subject": "Hello", "html": "<p>Hello</p>"},
    "sms": {"body": "Hello"},
    "voice": {"assistant_id": "a", "first_message": "Hello"},
}
RECIPIENTS: dict[str, dict[str, str]] = {
    "email": {"recipient_email": "delivered@resend.dev"},
    "sms": {"recipient_phone": "+14155550100"},
    "voice": {"recipient_phone": "+14155550100"},
}


def insert(owner: psycopg.Connection, channel: str = "email", **columns: Any) -> UUID:
    """Insert one message; what is not given is what a valid message of its channel has."""
    row: dict[str, Any] = {
        "workspace_id": uuid4(),
        "channel": channel,
        "payload": PAYLOADS.get(channel, {}),
        "status": "scheduled",
        "idempotency_key": str(uuid4()),
        **RECIPIENTS.get(channel, {}),
        **columns,
    }
    values = {name: Jsonb(value) if name == "payload" and value is not None else value for name, value in row.items()}
    statement = sql.SQL("INSERT INTO channel_outbox ({}) VALUES ({}) RETURNING id").format(
        sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(map(sql.Placeholder, values))
    )
    found = owner.execute(statement, values).fetchone()
    assert found is not None
    id_: UUID = found[0]
    return id_
