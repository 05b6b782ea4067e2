"""The messages that are there before the fleet is: what it would make of them that nobody meant.

Asked only until the fleet's own columns are there; afterwards the ledger answers for its rows.
"""

from outbox.migrate.columns import Columns
from outbox.migrate.finding import Database, Finding
from outbox.queries import load

_SQL = load("inspect")


def find(database: Database, columns: Columns) -> list[Finding]:
    """Return the messages that a person must decide on."""
    if ("channel_outbox", "status") not in columns or ("channel_outbox", "lease_token") in columns:
        return []
    return [*_under_way(database), *_without_time(database, columns)]


def _under_way(database: Database) -> list[Finding]:
    return [
        Finding(
            "blocks",
            "channel_outbox.status",
            f"{count} messages are {status}, which to the fleet means: claimed by one of its processes",
            "stop who sends them, then decide what becomes of them; scheduled sends them",
            (f"UPDATE public.channel_outbox SET status = 'scheduled' WHERE status = '{status}'",),
        )
        for status, count in database.execute(_SQL["under_way"]).fetchall()
    ]


def _without_time(database: Database, columns: Columns) -> list[Finding]:
    """A message without any time is due never: it would wait for ever, unseen."""
    present = [name for name in ("scheduled_at", "created_at") if ("channel_outbox", name) in columns]
    such = " AND ".join(["status::text = 'scheduled'", *(f"{name} IS NULL" for name in present)])
    row = database.execute(f"SELECT count(*) FROM public.channel_outbox WHERE {such}".encode()).fetchone()
    if not row or not row[0]:
        return []
    add = ("ALTER TABLE public.channel_outbox ADD COLUMN scheduled_at timestamptz",)
    date = f"UPDATE public.channel_outbox SET scheduled_at = '1970-01-01T00:00:00Z' WHERE {such}"
    return [
        Finding(
            "blocks",
            "channel_outbox.scheduled_at",
            f"{row[0]} scheduled messages have no time at all, neither scheduled_at nor created_at",
            "give them one; as overdue ones they are held until fleet db adopt",
            (date,) if "scheduled_at" in present else (*add, date),
        )
    ]
