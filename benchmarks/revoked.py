"""What a tenant whose key was revoked costs the others: their messages a second with and without it, in pairs.

Once as one of ten tenants of equal size, once as large as all others together. The simulator plays Resend, because the
stand-in knows no keys.
"""

import time
from dataclasses import dataclass
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import psycopg

from benchmarks.load import insert
from benchmarks.running import Fleet, fleet, module, running, servers, until

LATENCY_MILLISECONDS = 25
UNITS = (("email",), ("email",))
REVOKED = UUID(int=1)
_SETTINGS = """
INSERT INTO ai_settings_resend (tenant_id, api_key_encrypted, from_email, is_connected)
VALUES (%s, 'revoked_key', 'own@tenant.dev', true)
"""
_MADE_THEIRS = b"UPDATE channel_outbox SET workspace_id = %s WHERE idempotency_key LIKE %s"
_LEFT = b"""
SELECT FROM channel_outbox WHERE status IN ('scheduled', 'queued', 'sending') AND workspace_id <> %s LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """One round: messages a second of the other tenants."""

    alone: float
    beside: float

    @property
    def kept(self) -> float:
        """The share of their throughput that they keep."""
        return self.beside / self.alone


def measure(rows: int, pairs: int, share: float) -> list[Pair]:
    """Measure `pairs` times `rows` messages of others, without and with `share` times as many of the revoked tenant."""
    found = []
    with servers() as used, module("simulator", "--port", "0", "--latency-ms", str(LATENCY_MILLISECONDS)) as vendor:
        measured = fleet(used.database_url, used.redis_url, vendor)
        with measured.connect() as database:
            database.execute(_SETTINGS.encode(), (REVOKED,))
        for number in range(pairs):
            # Which goes first alternates, so that what drifts in a run is nobody's advantage.
            order = (False, True) if number % 2 == 0 else (True, False)
            figures = {beside: _throughput(measured, rows, int(rows * share) if beside else 0) for beside in order}
            found.append(Pair(figures[False], figures[True]))
            print(f"pair {number + 1}: alone {figures[False]:.0f}/s, beside {figures[True]:.0f}/s", flush=True)
    return found


def report(pairs: list[Pair], share: float) -> None:
    """Print the median."""
    kept = median(pair.kept for pair in pairs)
    print(f"beside a revoked key with {share:.2f} times their messages the others keep {kept:.2f} (target 0.9)")


def _throughput(measured: Fleet, rows: int, revoked: int) -> float:
    """The clock runs from the commit of all messages to the last of the others'."""
    with running(measured, UNITS), measured.connect() as database:
        database.execute("TRUNCATE channel_outbox, fleet.attempts, fleet.accounts")
        with database.transaction():
            if revoked:
                _insert_revoked(database, revoked)
            insert(database, "email", rows, uuid4().hex)
            database.execute("ANALYZE channel_outbox")
        began = time.monotonic()
        until(lambda: database.execute(_LEFT, (REVOKED,)).fetchone() is None, 300, pause_seconds=0.02)
        elapsed = time.monotonic() - began
        sent = database.execute("SELECT count(*) FROM channel_outbox WHERE status = 'sent'").fetchone()
        assert sent == (rows,), f"{sent} of {rows} were sent"
    return rows / elapsed


def _insert_revoked(database: "psycopg.Connection[Any]", rows: int) -> None:
    run = uuid4().hex
    insert(database, "email", rows, run)
    database.execute(_MADE_THEIRS, (REVOKED, f"{run}%"))
