"""The load of a chaos run: messages of four kinds, each to a recipient of its own, inserted little by little.

Vapi lists a whole account without a filter, so it gets a twentieth, as an account with ten concurrent calls would.
The simulator counts a second send of the same content to the same recipient as a duplicate, so every recipient is
there once.
"""

import threading
from typing import Any

import psycopg
from psycopg import OperationalError

from tests.chaos.stage import Stage

_INSERT = """
    INSERT INTO channel_outbox (workspace_id, channel, provider, recipient_email, recipient_phone, payload, status,
        idempotency_key)
    SELECT md5((i %% 7)::text)::uuid, kind.channel, kind.provider,
        CASE WHEN kind.channel = 'email' THEN 'person' || i || '@mail.dev' END,
        CASE WHEN kind.channel <> 'email' THEN '+1415' || (2000000 + i) END,
        kind.payload, 'scheduled', 'chaos ' || i
    FROM generate_series(%(first)s::integer, %(last)s::integer) AS i
    JOIN (VALUES
        (0, 'email', 'resend', '{"subject": "Hello", "html": "<p>Hello</p>"}'::jsonb),
        (1, 'sms', 'twilio', '{"body": "Hello"}'),
        (2, 'voice', 'vapi', '{"assistant_id": "assistant", "first_message": "Hello"}'),
        (3, 'voice', 'twilio', '{"say": "Hello"}')
    ) AS kind (number, channel, provider, payload)
        ON kind.number = CASE WHEN i %% 20 = 2 THEN 2 WHEN i %% 4 = 2 THEN 1 ELSE i %% 4 END
    ON CONFLICT DO NOTHING
"""
AT_ONCE = 40


class Load(threading.Thread):
    """Inserts `AT_ONCE` messages every `every_seconds` until it is told to end."""

    def __init__(self, stage: Stage, every_seconds: float) -> None:
        super().__init__(name="load", daemon=True)
        self._stage = stage
        self._every_seconds = every_seconds
        self._ending = threading.Event()
        self.inserted = 0

    def run(self) -> None:
        """Insert; what was not acknowledged is inserted again, which its key makes safe."""
        connection: psycopg.Connection[Any] | None = None
        while not self._ending.wait(self._every_seconds):
            try:
                connection = connection or self._stage.connect()
                connection.execute(_INSERT, {"first": self.inserted, "last": self.inserted + AT_ONCE - 1})
                self.inserted += AT_ONCE
            except OperationalError:  # PostgreSQL is being restarted
                connection = None
        if connection is not None:
            connection.close()

    def end(self) -> None:
        """Insert no more."""
        self._ending.set()
        self.join(60)
