"""Rows as the platform inserts them: its own columns, by plain SQL."""

from datetime import datetime
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


def insert(owner: psycopg.Connection, channel: str | None = "email", **columns: Any) -> UUID:
    """Insert one message; what is not given is what a valid message of its channel has."""
    row: dict[str, Any] = {
        "workspace_id": uuid4(),
        "channel": channel,
        "payload": PAYLOADS.get(channel or "", {}),
        "status": "scheduled",
        "idempotency_key": str(uuid4()),
        **RECIPIENTS.get(channel or "", {}),
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


def status_of(owner: psycopg.Connection, id_: UUID) -> str:
    """The message's status."""
    return str(column_of(owner, id_, "status"))


def column_of(owner: psycopg.Connection, id_: UUID, column: str) -> Any:
    """One column of one message."""
    query = sql.SQL("SELECT {} FROM channel_outbox WHERE id = %s").format(sql.Identifier(column))
    row = owner.execute(query, (id_,)).fetchone()
    assert row is not None
    return row[0]


def travel(owner: psycopg.Connection, seconds: float) -> None:
    """Move the ledger's clock to `seconds` from now: the one seam that it has for that."""
    owner.execute(
        sql.SQL(
            "CREATE OR REPLACE FUNCTION fleet.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE "
            "AS $$ SELECT pg_catalog.now() + make_interval(secs => {}) $$"
        ).format(sql.Literal(seconds))
    )


def freeze(owner: psycopg.Connection, moment: datetime) -> None:
    """Let the ledger's clock stand still at `moment`."""
    owner.execute(
        sql.SQL(
            "CREATE OR REPLACE FUNCTION fleet.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE "
            "AS $$ SELECT timestamptz {} $$"
        ).format(sql.Literal(moment.isoformat()))
    )


def attempts_of(owner: psycopg.Connection, id_: UUID) -> list[tuple[int, str, bool]]:
    """(number, outcome, counted) of each attempt."""
    return owner.execute(
        "SELECT number, outcome, counted FROM fleet.attempts WHERE message_id = %s ORDER BY number", (id_,)
    ).fetchall()


def pause(owner: psycopg.Connection, scope_key: str, **columns: Any) -> None:
    """Pause a scope."""
    values = {"scope_key": scope_key, "reason": "test", "created_by": "test", **columns}
    owner.execute(
        sql.SQL("INSERT INTO fleet.pauses ({}) VALUES ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(map(sql.Placeholder, values))
        ),
        values,
    )


def suppress(
    owner: psycopg.Connection,
    workspace: UUID,
    address: str,
    *,
    channel: str = "email",
    expires_at: datetime | None = None,
) -> None:
    """Suppress an address."""
    owner.execute(
        "INSERT INTO fleet.suppressions (workspace_id, channel, address, reason, source, expires_at)"
        " VALUES (%s, %s, %s, '', 'test', %s)",
        (workspace, channel, address, expires_at),
    )
