"""The account of a run: what the ledger says, held against what the vendors counted.

*Lost* is what is in no end and not sent, or said to be sent and never accepted, or failed and accepted after all.
*Duplicated* is what was accepted beyond one for each message. *Retried* is what took more than one attempt.
"""

import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, fields

import orjson
import psycopg

from outbox.states import Status

_ENDS = frozenset({Status.SENT, Status.DELIVERED, Status.FAILED, Status.CANCELLED, Status.SUPPRESSED, Status.UNKNOWN})
_ROWS = """
SELECT o.channel::text, o.status::text, o.attempts, o.provider_message_id,
    coalesce(o.recipient_email, o.recipient_phone)
FROM channel_outbox o
"""


@dataclass(slots=True)
class Figures:
    """One line of the table."""

    scheduled: int = 0
    sent: int = 0
    failed: int = 0
    retried: int = 0
    unknown: int = 0
    lost: int = 0
    duplicated: int = 0

    def __iadd__(self, other: "Figures") -> "Figures":
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))
        return self

    @property
    def clean(self) -> bool:
        """Was every promise kept?"""
        return self.lost == self.duplicated == self.unknown == 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """One message that a vendor took."""

    id: str
    kind: str
    recipient: str
    content: str


def accepted_by(simulator_url: str) -> list[Accepted]:
    """Ask the simulator what it accepted."""
    with urllib.request.urlopen(f"{simulator_url}/stats/accepted", timeout=60) as answer:  # noqa: S310 - loopback
        lines = [orjson.loads(line) for line in answer if line.strip()]
    return [Accepted(one["id"], one["kind"], one["recipient"], one["content_sha256"]) for one in lines]


def account(database: "psycopg.Connection[tuple[object, ...]]", accepted: Sequence[Accepted]) -> dict[str, Figures]:
    """Return the figures by channel. Every recipient of a message that can be accepted is of that message alone."""
    ids = {one.id for one in accepted}
    recipients = {one.recipient for one in accepted}
    figures: dict[str, Figures] = {}
    for channel, status, attempts, vendor_id, recipient in database.execute(_ROWS.encode()).fetchall():
        figures.setdefault(str(channel), Figures())
        figures[str(channel)] += _of_row(
            str(status), int(str(attempts)), known=vendor_id in ids, taken=recipient in recipients
        )
    for kind, channel in {"email": "email", "message": "sms", "call": "voice"}.items():
        of_kind = [one for one in accepted if one.kind == kind]
        distinct = {(one.recipient, one.content) for one in of_kind}
        figures.setdefault(channel, Figures()).duplicated = len(of_kind) - len(distinct)
    return figures


def _of_row(status: str, attempts: int, *, known: bool, taken: bool) -> Figures:
    sent = status in {Status.SENT, Status.DELIVERED}
    failed = status == Status.FAILED
    lost = status not in _ENDS or (sent and not known) or (failed and taken)
    return Figures(
        scheduled=1,
        sent=int(sent),
        failed=int(failed),
        retried=int(attempts > 1),
        unknown=int(status == Status.UNKNOWN),
        lost=int(lost),
    )
