"""The demo's load: three workspaces, three channels, each message with a text of its own, some to nobody.

Inserted by plain SQL with the platform's columns only, as campaigns do.
"""

from dataclasses import dataclass
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

WORKSPACES = 3
BAD_EVERY = 40
"""One message in so many goes to a recipient that its vendor refuses, or that no vendor could reach."""

_INSERT = """
INSERT INTO channel_outbox (
    workspace_id, tenant_id, channel, provider, recipient_email, recipient_phone, payload, status, scheduled_at,
    idempotency_key
)
VALUES (%s, %s, %s, %s, %s, %s, %s, 'scheduled', now(), %s)
"""


@dataclass(frozen=True, slots=True)
class Load:
    """How many messages of each channel."""

    email: int
    sms: int
    voice: int

    @classmethod
    def of(cls, messages: int) -> "Load":
        """Share a number of messages among the channels, most of them email."""
        sms, voice = messages * 3 // 10, messages * 2 // 10
        return cls(messages - sms - voice, sms, voice)

    @property
    def messages(self) -> int:
        """All of them."""
        return self.email + self.sms + self.voice


def insert(database: "psycopg.Connection[tuple[object, ...]]", load: Load) -> None:
    """Insert the load in one transaction."""
    workspaces = [uuid4() for _ in range(WORKSPACES)]
    rows = [_email(number, workspaces) for number in range(load.email)]
    rows += [_text(number, workspaces) for number in range(load.sms)]
    rows += [_call(number, workspaces) for number in range(load.voice)]
    with database.transaction(), database.cursor() as cursor:
        for workspace in workspaces:
            cursor.execute(
                "INSERT INTO workspaces (id, name, slug) VALUES (%s, 'Demo', %s)", (workspace, str(workspace))
            )
        cursor.executemany(_INSERT, rows)


def _email(number: int, workspaces: list[UUID]) -> tuple[object, ...]:
    workspace = workspaces[number % WORKSPACES]
    bad = ("refused@example.com", "no address at all")[number // BAD_EVERY % 2]
    to = bad if number % BAD_EVERY == BAD_EVERY - 1 else f"delivered+{number}@resend.dev"
    payload = {"subject": f"Your offer {number}", "html": f"<h1>Hello</h1><p>Offer number {number} ends today.</p>"}
    return workspace, workspace, "email", "resend", to, None, Jsonb(payload), f"demo_{workspace}_email_{number}"


def _text(number: int, workspaces: list[UUID]) -> tuple[object, ...]:
    workspace = workspaces[number % WORKSPACES]
    bad = ("+15005550001", "12")[number // BAD_EVERY % 2]
    to = bad if number % BAD_EVERY == BAD_EVERY - 1 else f"+1415{2000000 + number}"
    payload = {"body": f"Your code is {100000 + number}"}
    return workspace, workspace, "sms", "twilio", None, to, Jsonb(payload), f"demo_{workspace}_sms_{number}"


def _call(number: int, workspaces: list[UUID]) -> tuple[object, ...]:
    workspace, provider = workspaces[number % WORKSPACES], ("vapi", "twilio")[number % 2]
    to = "+" if number % BAD_EVERY == BAD_EVERY - 1 else f"+1628{2000000 + number}"
    said = f"Hello, this is call number {number}."
    payload = {"assistant_id": "demo", "first_message": said} if provider == "vapi" else {"say": said}
    return workspace, workspace, "voice", provider, None, to, Jsonb(payload), f"demo_{workspace}_voice_{number}"
