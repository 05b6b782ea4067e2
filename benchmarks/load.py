"""Rows for measurements, by one INSERT ... SELECT."""

from typing import Any

import psycopg

_COLUMNS = "workspace_id, channel, recipient_email, recipient_phone, payload, status, idempotency_key"
_ROWS = {
    "email": """
        SELECT md5((i %% 10)::text)::uuid, 'email', 'person' || i || '@mail.dev', NULL,
            jsonb_build_object('subject', 'Offer ' || %(run)s || i, 'html', '<p>' || repeat('x', 1400) || '</p>'),
            'scheduled', %(run)s || i
        FROM generate_series(1, %(count)s) AS i
    """,
    "sms": """
        SELECT md5((i %% 10)::text)::uuid, 'sms', NULL, '+1415' || (2000000 + i),
            jsonb_build_object('body', 'Your code is ' || %(run)s || i || ', it is valid for ten minutes.'),
            'scheduled', %(run)s || i
        FROM generate_series(1, %(count)s) AS i
    """,
    "voice": """
        SELECT md5((i %% 10)::text)::uuid, 'voice', NULL, '+1415' || (2000000 + i),
            jsonb_build_object('assistant_id', 'assistant', 'first_message', 'Hello ' || %(run)s || i),
            'scheduled', %(run)s || i
        FROM generate_series(1, %(count)s) AS i
    """,
}


def insert(database: "psycopg.Connection[Any]", channel: str, count: int, run: str) -> None:
    """Insert `count` messages of ten workspaces that are due now."""
    database.execute(f"INSERT INTO channel_outbox ({_COLUMNS}) {_ROWS[channel]}".encode(), {"run": run, "count": count})
