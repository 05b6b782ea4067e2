"""What support is told of the events: how many there were, and whether some were left out."""

from datetime import UTC, datetime, timedelta

import psycopg

from config.database import Pool
from outbox import received, search
from tests.factories import insert

ALWAYS = datetime(2026, 1, 1, tzinfo=UTC)


def event(owner: psycopg.Connection, at: datetime, provider: str = "twilio", *, given_up: bool = False) -> None:
    owner.execute(
        "INSERT INTO fleet.events"
        " (provider, tenant_id, event_id, kind, proves, body, received_at, applied_at, next_try_at)"
        " VALUES (%s, gen_random_uuid(), gen_random_uuid()::text, 'delivered', 'delivered', '{}', %s,"
        " CASE WHEN NOT %s THEN %s::timestamptz END, NULL)",
        (provider, at, given_up, at),
    )


async def test_whether_some_were_left_out_depends_on_what_came_in_and_not_on_the_filter(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert not await received.has_more(ledger, since=ALWAYS, latest=3)
    for hour in range(3):
        event(owner, noon + timedelta(hours=hour), "twilio" if hour else "resend")
    assert not await received.has_more(ledger, since=ALWAYS, latest=3), "three, and all of them were counted"

    event(owner, noon + timedelta(hours=3))
    assert await received.has_more(ledger, since=ALWAYS, latest=3)
    assert await received.counts(ledger, since=ALWAYS, provider="resend", latest=3) == [], "the one left out is its own"
    assert not await received.has_more(ledger, since=noon + timedelta(hours=1), latest=3)


async def test_what_was_given_up_long_ago_is_found_where_nobody_says_since_when(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    event(owner, ALWAYS, given_up=True)
    assert len(await received.unapplied(ledger, limit=9)) == 1
    assert await received.unapplied(ledger, since=ALWAYS + timedelta(days=1), limit=9) == []


async def test_what_support_reads_of_a_message_was_applied(ledger: Pool, owner: psycopg.Connection) -> None:
    """Anybody's callback may name any message; only one that fits an attempt of its account is applied."""
    id_ = insert(owner, "sms")
    for given_up in (True, False):
        event(owner, ALWAYS, given_up=given_up)
    owner.execute("UPDATE fleet.events SET message_id = %s", (id_,))
    (told,) = await search.events_of(ledger, id_)
    applied = owner.execute("SELECT id FROM fleet.events WHERE applied_at IS NOT NULL").fetchone()
    assert (told["id"],) == applied
