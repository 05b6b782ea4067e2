"""Suppressions by hand: added, released, listed, asked for before a launch; and what the audit log has of it."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest

from config.channels import Channel
from config.database import Pool
from config.vocabulary import Reason
from outbox import suppressions
from outbox.addresses import NotAnAddress
from outbox.suppressions import Filter, Found, Place
from tests.factories import insert, status_of, travel
from tests.started import start

ADA, BOB = "Ada@Mail.io", "bob@mail.io"
WHO: dict[str, Any] = {"actor": "cli:support", "why": "asked on the phone"}


@pytest.fixture
def place() -> Place:
    return Place(uuid4(), Channel.EMAIL)


def audited(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "SELECT actor, action, workspace_id, subject, detail FROM fleet.audit_log ORDER BY id"
    ).fetchall()


def told(
    owner: psycopg.Connection, place: Place, reason: Reason, address: str = "ada@mail.io", at: str = "now()"
) -> None:
    """A suppression as an event brings it about."""
    owner.execute(
        "INSERT INTO fleet.suppressions (workspace_id, channel, address, reason, source, created_at)"
        f" VALUES (%s, %s, %s, %s, 'event 1', {at})",
        (place.workspace_id, place.channel, address, reason),
    )


async def holding(pool: Pool, place: Place) -> list[tuple[str, str]]:
    found = await suppressions.find(pool, Filter(place.workspace_id, place.channel), limit=100)
    return [(one.address, one.reason) for one in found]


async def test_an_address_is_added_however_it_is_written_and_gets_nothing(
    ledger: Pool, owner: psycopg.Connection, place: Place
) -> None:
    queued = insert(owner, workspace_id=place.workspace_id, recipient_email=" ADA@mail.IO")
    elsewhere = insert(owner, recipient_email=ADA)

    assert await suppressions.add(ledger, place, [ADA, "ada@MAIL.io", BOB], **WHO) == 2
    assert await suppressions.add(ledger, place, [ADA], **WHO) == 0

    assert (await start(ledger)).ids == [elsewhere]
    assert status_of(owner, queued) == "suppressed"
    assert await holding(ledger, place) == [("ada@mail.io", "manual"), (BOB, "manual")]
    sources = owner.execute("SELECT DISTINCT source FROM fleet.suppressions").fetchall()
    assert sources == [("cli:support: asked on the phone",)]
    detail = {"channel": "email", "why": "asked on the phone"}
    assert sorted(audited(owner)) == [
        ("cli:support", "suppress", place.workspace_id, "A…@mail.io", detail),
        ("cli:support", "suppress", place.workspace_id, "b…@mail.io", detail),
    ]


async def test_a_number_is_one_number(ledger: Pool, owner: psycopg.Connection) -> None:
    place = Place(uuid4(), Channel.SMS)
    assert await suppressions.add(ledger, place, ["+1 415 555-0100"], **WHO) == 1
    assert await holding(ledger, place) == [("+14155550100", "manual")]
    assert audited(owner)[0][3] == "…100"


async def test_what_cannot_be_an_address_changes_nothing(ledger: Pool, owner: psycopg.Connection, place: Place) -> None:
    with pytest.raises(NotAnAddress):
        await suppressions.add(ledger, place, [ADA, "nobody"], **WHO)
    assert await holding(ledger, place) == []


async def test_a_release_ends_every_reason_or_the_one_that_is_named(
    ledger: Pool, owner: psycopg.Connection, place: Place
) -> None:
    for reason in (Reason.BOUNCED, Reason.COMPLAINED, Reason.UNSUBSCRIBED):
        told(owner, place, reason)
    told(owner, Place(uuid4(), Channel.EMAIL), Reason.BOUNCED)
    told(owner, Place(place.workspace_id, Channel.SMS), Reason.STOPPED)

    assert await suppressions.release(ledger, place, [ADA], **WHO, reason=Reason.BOUNCED) == 1
    assert await holding(ledger, place) == [("ada@mail.io", "complained"), ("ada@mail.io", "unsubscribed")]
    assert await suppressions.release(ledger, place, [ADA, BOB], **WHO) == 1
    assert await holding(ledger, place) == []
    assert await suppressions.release(ledger, place, [ADA], **WHO) == 0

    assert len(await suppressions.find(ledger, Filter(), limit=10)) == 2, "those of other places hold on"
    assert [(row[1], row[3], row[4]["reason"]) for row in audited(owner)] == [
        ("release_suppression", "A…@mail.io", reason) for reason in ("bounced", "complained", "unsubscribed")
    ]
    again = insert(owner, workspace_id=place.workspace_id, recipient_email=ADA)
    assert (await start(ledger)).ids == [again]


async def test_a_release_counts_also_against_a_faster_clock_and_adding_against_a_release(
    ledger: Pool, owner: psycopg.Connection, place: Place
) -> None:
    told(owner, place, Reason.BOUNCED, at="now() + interval '1 hour'")
    assert await suppressions.release(ledger, place, [ADA], **WHO) == 1
    assert await holding(ledger, place) == []

    travel(owner, 60)
    for _ in range(2):
        assert await suppressions.add(ledger, place, [ADA], **WHO) == 1
        travel(owner, 0)
        assert await holding(ledger, place) == [("ada@mail.io", "manual")]
        assert await suppressions.release(ledger, place, [ADA], **WHO) == 1
        assert await holding(ledger, place) == []


async def test_pages_come_in_the_order_of_the_key_and_filters_narrow_them(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    places = [Place(uuid4(), channel) for channel in (Channel.EMAIL, Channel.EMAIL, Channel.SMS)]
    for number in range(7):
        for where in places:
            address = f"p{number}@mail.io" if where.channel is Channel.EMAIL else f"+1415555010{number}"
            for reason in (Reason.BOUNCED, Reason.MANUAL):
                told(owner, where, reason, address)
    told(owner, places[0], Reason.STOPPED, at="'-infinity'")
    await suppressions.release(ledger, places[0], ["p0@mail.io"], **WHO)

    pages: list[Found] = []
    while page := await suppressions.find(ledger, Filter(), limit=5, after=pages[-1] if pages else None):
        pages += page
    keys = [(one.workspace_id, one.channel, one.address, one.reason) for one in pages]

    assert len(keys) == len(set(keys)) == 7 * 3 * 2 - 2
    assert keys == sorted(keys)

    async def count(**wanted: Any) -> int:
        return len(await suppressions.find(ledger, Filter(**wanted), limit=100))

    assert await count(workspace_id=places[1].workspace_id) == 14
    assert await count(channel=Channel.SMS) == 14
    assert await count(reason=Reason.MANUAL) == 20
    assert await count(address="P1@MAIL.io") == 4
    assert await count(address="+1 415-555-0101") == 2
    assert await count(address="nobody") == 0
    assert await count(ended=True) == 42
    assert await count(ended=True, address="ada@mail.io") == 0, "a release of what never was is no suppression"


async def test_before_a_launch_it_is_known_whom_to_leave_out(
    ledger: Pool, owner: psycopg.Connection, place: Place
) -> None:
    for reason in (Reason.BOUNCED, Reason.MANUAL):
        told(owner, place, reason)
    told(owner, place, Reason.BOUNCED, "released@mail.io")
    await suppressions.release(ledger, place, ["released@mail.io"], **WHO)
    told(owner, place, Reason.SOFT_BOUNCED, "rested@mail.io")
    owner.execute("UPDATE fleet.suppressions SET expires_at = now() WHERE reason = 'soft_bounced'")
    many = [f"p{number}@mail.io" for number in range(suppressions.CHUNK + 10)]
    told(owner, place, Reason.BOUNCED, many[-1])

    asked = ["ADA@mail.io", " ada@MAIL.io", BOB, "released@mail.io", "rested@mail.io", "nobody", "", *many]

    assert await suppressions.suppressed(ledger, place, asked) == {"ADA@mail.io", " ada@MAIL.io", many[-1]}
    assert await suppressions.suppressed(ledger, place, asked, reason=Reason.MANUAL) == {"ADA@mail.io", " ada@MAIL.io"}
    assert await suppressions.suppressed(ledger, Place(place.workspace_id, Channel.SMS), asked) == set()
    assert await suppressions.suppressed(ledger, place, []) == set()
