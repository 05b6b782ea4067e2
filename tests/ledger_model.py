"""What the ledger machine knows beside the ledger: the vendor, the flights under way, and what must always hold."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from outbox.states import TRANSITIONS, Status

IDEMPOTENT = "email"
"""The channel whose vendor honours our key; its batch is one request. On the others each member is a request."""
OPEN = ("sending", "unknown")
NOT_ACCEPTED = {Status.SCHEDULED, Status.QUEUED, Status.FAILED, Status.CANCELLED, Status.SUPPRESSED}
"""Statuses that say that no vendor has the message."""

RESOLVED_LATER = {"resolution": None, "resolved_at": None, "resolved_by": None}
"""What is written into an attempt whose unknown outcome finds its end."""

Row = dict[str, Any]


@dataclass(eq=False)
class Flight:
    """A batch in the hands of a would-be worker: what it believes, which may be long out of date."""

    send_key: UUID
    lease: UUID
    channel: str
    members: frozenset[UUID]
    """Whom it settles."""
    carried: frozenset[UUID]
    """Whom its request carries; a replay carries also those that were decided meanwhile."""
    until: datetime
    tainted: bool = False
    wish: Status | None = None
    """How its worker reads a refusal."""
    answers: dict[UUID, bool] = field(default_factory=dict)
    """Accepted or not, by message; empty for requests that were not made."""
    decided: set[UUID] = field(default_factory=set)

    def decision(self, id_: UUID, wish: Status) -> Status:
        """What the worker settles: what it knows, or that it does not know."""
        accepted = self.answers.get(id_)
        if accepted:
            return Status.SENT if wish is not Status.UNKNOWN else wish
        if self.tainted:
            return Status.UNKNOWN
        if accepted is None:
            return Status.SCHEDULED
        return wish if wish is not Status.SENT else Status.FAILED


@dataclass
class Vendor:
    """What the vendors have accepted: by message, the send keys under which."""

    accepted: dict[UUID, set[UUID]] = field(default_factory=lambda: defaultdict(set))

    def receive(self, flight: Flight, accepts: bool) -> None:
        """Take the requests of a flight, and answer; a key that was accepted before is answered as it was then."""
        wanted = flight.carried if flight.channel == IDEMPOTENT else flight.carried - flight.decided
        if any(flight.send_key in self.accepted[id_] for id_ in wanted):
            accepts = True
        for id_ in wanted:
            flight.answers[id_] = accepts
            if accepts:
                self.accepted[id_].add(flight.send_key)


@dataclass
class Ledger:
    """The whole ledger in one moment."""

    messages: dict[UUID, Row]
    batches: dict[UUID, Row]
    attempts: dict[tuple[UUID, int], Row]

    @classmethod
    def read(cls, owner: psycopg.Connection) -> "Ledger":
        """Read it."""
        with owner.cursor(row_factory=dict_row) as cursor:
            messages = cursor.execute("SELECT xmin::text AS seen, * FROM channel_outbox").fetchall()
            batches = cursor.execute("SELECT * FROM fleet.batches").fetchall()
            attempts = cursor.execute("SELECT * FROM fleet.attempts").fetchall()
        return cls(
            {row["id"]: row for row in messages},
            {row["send_key"]: row for row in batches},
            {(row["message_id"], row["number"]): row for row in attempts},
        )

    def having(self, *statuses: str) -> set[UUID]:
        """Which messages are in these statuses?"""
        return {id_ for id_, row in self.messages.items() if row["status"] in statuses}

    def open_members(self, send_key: UUID) -> set[UUID]:
        """Which messages does this batch still have to settle?"""
        members = self.batches[send_key]["member_ids"] if send_key in self.batches else ()
        rows = {id_: self.messages[id_] for id_ in members}
        return {id_ for id_, row in rows.items() if row["status"] in OPEN and row["send_key"] == send_key}

    def settled_under(self, flight: Flight) -> set[UUID]:
        """Whom may this flight settle? Nobody twice, and nobody where the lease of its batch is another's."""
        batch = self.batches.get(flight.send_key)
        if batch is None or batch["lease_token"] != flight.lease:
            return set()
        closed = {id_ for id_, number in self.attempts if self.messages[id_]["attempts"] == number}
        return self.open_members(flight.send_key) - closed


def check_step(before: Ledger, after: Ledger) -> None:
    """Nothing goes a way that is not listed, and nothing that was written of an attempt changes but its resolution."""
    for id_, row in before.messages.items():
        way = Status(row["status"]), Status(after.messages[id_]["status"])
        assert way[0] is way[1] or way in TRANSITIONS, way
    for key, attempt in before.attempts.items():
        assert {**after.attempts[key], **RESOLVED_LATER} == {**attempt, **RESOLVED_LATER}


def check(ledger: Ledger, vendor: Vendor, started: dict[UUID, frozenset[UUID]]) -> None:
    """Hold a ledger against itself, the vendor, and the members that each send key was started with."""
    for id_, row in ledger.messages.items():
        _check_numbers(ledger, id_, row)
        _check_against_vendor(row, vendor.accepted[id_])
        if row["status"] == "sending":
            assert ledger.batches[row["send_key"]]["lease_token"] is not None
            assert id_ in ledger.batches[row["send_key"]]["member_ids"]
        carrying = [key for key in ledger.batches if id_ in ledger.open_members(key)]
        assert len(carrying) <= 1, "two live batches have the same message"
    for attempt in ledger.attempts.values():
        assert attempt["message_id"] in started[attempt["send_key"]], "a send key was used for another message"


def _check_numbers(ledger: Ledger, id_: UUID, row: Row) -> None:
    numbers = sorted(number for message, number in ledger.attempts if message == id_)
    assert numbers == list(range(1, len(numbers) + 1)), "attempts are not numbered without gaps"
    batch = ledger.batches.get(row["send_key"])
    if row["status"] == "sending":
        assert row["attempts"] == len(numbers) + 1
    elif row["status"] == "sent" or (row["status"] == "unknown" and batch and batch["lease_token"]):
        # A replay is under way, or was when proof came: then its answer is no settlement any more.
        assert row["attempts"] - len(numbers) in (0, 1)
    else:
        assert row["attempts"] == len(numbers)


def _check_against_vendor(row: Row, keys: set[UUID]) -> None:
    assert len(keys) <= 1, "the vendor has the message twice"
    if row["status"] in NOT_ACCEPTED:
        assert not keys, f"the vendor has it, the ledger says {row['status']}"
    if row["status"] == "sent":
        assert keys == {row["send_key"]}, "the ledger says sent, the vendor has nothing"
