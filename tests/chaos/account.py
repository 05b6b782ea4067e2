"""The account of a chaos run: what the vendors accepted, held against what the ledger promised and what it says."""

from dataclasses import dataclass
from typing import Any

import psycopg

from tests.simulated import Simulated

ENDED = frozenset({"sent", "delivered"})

_UNEXPLAINED = """
    SELECT count(*)
    FROM fleet.attempts a
    WHERE a.outcome = 'unknown' AND a.resolution IS NULL AND NOT EXISTS (
        SELECT
        FROM fleet.attempts later
        WHERE later.message_id = a.message_id AND later.send_key = a.send_key AND later.number > a.number
          AND later.outcome IN ('accepted', 'rejected')
    )
"""

_FAILED = b"SELECT coalesce(error_code, ''), count(*) FROM channel_outbox WHERE status = 'failed' GROUP BY 1"


@dataclass(frozen=True, slots=True)
class Account:
    """Figures; all of `lost`, `twice`, `unknown` and `unexplained` must be 0."""

    messages: int
    statuses: dict[str, int]
    accepted: int
    twice: int
    lost: int
    """Messages that no vendor accepted, and those whose vendor's id is not what that vendor accepted."""
    unknown: int
    unexplained: int
    """Attempts of which it was unknown whether they were accepted, and never became known."""
    attempts_unknown: int
    failed: dict[str, int]
    """By error code: what nobody sent and the ledger has given up."""
    faults: dict[str, int]
    resolutions: dict[str, int]

    @property
    def is_clean(self) -> bool:
        """Was the promise kept?"""
        return not (self.lost or self.twice or self.unknown or self.unexplained)


def account(database: "psycopg.Connection[Any]", vendors: Simulated) -> Account:
    """Count both sides."""
    statuses = dict(database.execute("SELECT status, count(*) FROM channel_outbox GROUP BY status").fetchall())
    by_vendor = [counted for name, counted in vendors.stats().items() if name != "totals"]
    faults: dict[str, int] = {}
    for counted in by_vendor:
        for kind, count in counted["faults"].items():
            faults[kind] = faults.get(kind, 0) + count
    accepted = {one["id"] for one in vendors.accepted()}
    known = {str(row[0]) for row in database.execute("SELECT provider_message_id FROM channel_outbox").fetchall()}
    resolved = "SELECT resolution, count(*) FROM fleet.attempts WHERE resolution IS NOT NULL GROUP BY resolution"
    messages = sum(statuses.values())
    return Account(
        messages=messages,
        statuses=statuses,
        accepted=len(accepted),
        twice=sum(counted["duplicates"] for counted in by_vendor),
        lost=messages - len(accepted & known),
        unknown=statuses.get("unknown", 0),
        unexplained=_count(database, _UNEXPLAINED),
        attempts_unknown=_count(database, "SELECT count(*) FROM fleet.attempts WHERE outcome = 'unknown'"),
        failed=dict(database.execute(_FAILED).fetchall()),
        faults=faults,
        resolutions=dict(database.execute(resolved).fetchall()),
    )


def _count(database: "psycopg.Connection[Any]", query: str) -> int:
    row = database.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0
