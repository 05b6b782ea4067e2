"""Attempts whose outcome nobody knows: looks at the vendor's record, and what each of them decides."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import psycopg
import pytest

from config.channels import Channel
from config.database import Pool
from config.vocabulary import Kind
from outbox import batches, decisions, events, unknowns
from outbox.settlements import Ended, Settlement, settle
from outbox.states import Status
from outbox.unknowns import Finding, Patience, Recipient, Unknown, Verdict
from providers.base import attempt_id
from tests.factories import attempts_of, column_of, insert, status_of, travel
from tests.started import ACCOUNT, Started, claimed, start

PATIENCE = Patience(grace_seconds=60, horizon_seconds=900)
NUMBER = "+14155550100"
RECIPIENT = Recipient(Channel.SMS, "twilio", ACCOUNT, UUID(int=0), NUMBER)
LOOKS_SECONDS = (61, 181, 901)


async def unknown(ledger: Pool, owner: psycopg.Connection, **columns: object) -> tuple[UUID, UUID]:
    """Bring one text message to `unknown`; (message id, attempt id)."""
    id_ = insert(owner, channel="sms", **columns)
    started = await start(ledger, Channel.SMS, provider="twilio", body=None)
    assert id_ in started.ids
    address = columns.get("recipient_phone", NUMBER)
    one = settlement(started, id_, Status.UNKNOWN, outcome="unknown", error_code="timeout", address=address)
    await settle(ledger, [one], [Ended(started.send_key, started.lease)], worker="test")
    assert status_of(owner, id_) == "unknown"
    return id_, attempt_id(started.send_key, id_)


def settlement(started: Started, id_: UUID, status: Status, **columns: object) -> Settlement:
    return started.settlement(id_, status, provider="twilio", **{"address": NUMBER, **columns})


async def due(ledger: Pool) -> dict[Recipient, list[UUID]]:
    """Claim what is due for a look, as scheduler and worker do."""
    token = uuid4()
    ids = await unknowns.claim(ledger, Channel.SMS, token, PATIENCE, lease_seconds=60, limit=10)
    return await unknowns.read(ledger, ids, token)


async def look(
    ledger: Pool, verdict: Verdict, vendor_id: str | None = None, *, resend: bool = True, max_attempts: int = 5
) -> int | None:
    """Look at the recipient's record and come to one verdict for everything that is unknown."""

    def judge(sought: Sequence[Unknown], known: frozenset[str]) -> list[Finding]:
        if verdict is Verdict.FOUND:
            assert vendor_id not in known
            return [Finding(sought[0].attempt_id, verdict, vendor_id, {"sid": vendor_id})]
        return [Finding(one.attempt_id, verdict) for one in sought]

    return await unknowns.resolve(
        ledger,
        RECIPIENT,
        [vendor_id] if vendor_id else [],
        judge,
        PATIENCE,
        max_attempts=max_attempts,
        resend_after_absent=resend,
    )


async def test_looks_are_due_at_the_grace_at_three_times_and_at_the_horizon(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    _, attempt = await unknown(ledger, owner)
    for before in (59, 179, 899):
        travel(owner, before)
        assert await due(ledger) == {}
        travel(owner, before + 2)
        assert await due(ledger) == {RECIPIENT: [attempt]}
        assert await due(ledger) == {}  # another scheduler has claimed it
        await look(ledger, Verdict.ABSENT)


async def test_a_claim_that_died_is_claimed_again(ledger: Pool, owner: psycopg.Connection) -> None:
    _, attempt = await unknown(ledger, owner)
    travel(owner, 61)
    assert await due(ledger)
    travel(owner, 61 + 61)
    assert await due(ledger) == {RECIPIENT: [attempt]}


async def test_found_in_the_record_is_sent(ledger: Pool, owner: psycopg.Connection) -> None:
    id_, _ = await unknown(ledger, owner)

    assert await look(ledger, Verdict.FOUND, "SM1") == 1

    assert (status_of(owner, id_), column_of(owner, id_, "provider_message_id")) == ("sent", "SM1")
    assert column_of(owner, id_, "provider_response") == {"sid": "SM1"}
    assert column_of(owner, id_, "error_code") is None
    assert column_of(owner, id_, "sent_at") is not None
    assert resolutions(owner, id_) == [("unknown", "accepted", "look-up", "SM1")]
    assert count(owner, "unknowns") == 0


async def test_absent_only_after_three_looks_and_the_horizon(ledger: Pool, owner: psycopg.Connection) -> None:
    id_, _ = await unknown(ledger, owner)
    for seconds in LOOKS_SECONDS:
        assert status_of(owner, id_) == "unknown"
        travel(owner, seconds)
        await look(ledger, Verdict.ABSENT)
    assert status_of(owner, id_) == "scheduled"
    assert resolutions(owner, id_) == [("unknown", "absent", "look-up", None)]
    assert count(owner, "unknowns") == 0

    travel(owner, 902)
    again = await start(ledger, Channel.SMS, provider="twilio", body=None)
    assert again.ids == [id_]
    await settle(ledger, [settlement(again, id_, Status.SENT)], [], worker="test")
    assert attempts_of(owner, id_) == [(1, "unknown", True), (2, "accepted", True)]


async def test_three_quick_looks_before_the_horizon_decide_nothing(ledger: Pool, owner: psycopg.Connection) -> None:
    id_, _ = await unknown(ledger, owner)
    for _ in range(5):
        await look(ledger, Verdict.ABSENT)
    assert status_of(owner, id_) == "unknown"
    travel(owner, 901)
    await look(ledger, Verdict.ABSENT)
    assert status_of(owner, id_) == "scheduled"


async def test_an_event_that_waits_to_be_applied_forbids_absence(ledger: Pool, owner: psycopg.Connection) -> None:
    id_, attempt = await unknown(ledger, owner)
    owner.execute(
        "INSERT INTO fleet.events (provider, tenant_id, event_id, kind, provider_message_id, attempt_id, body)"
        " VALUES ('twilio', %s, 'e', 'accepted', 'SM1', %s, '{}')",
        (UUID(int=0), attempt),
    )
    for seconds in (*LOOKS_SECONDS, 2000):
        travel(owner, seconds)
        await look(ledger, Verdict.ABSENT)
    assert status_of(owner, id_) == "unknown"


async def test_where_absence_is_not_believed_a_person_decides(ledger: Pool, owner: psycopg.Connection) -> None:
    id_, _ = await unknown(ledger, owner)
    for seconds in LOOKS_SECONDS:
        travel(owner, seconds)
        await look(ledger, Verdict.ABSENT, resend=False)
    assert (status_of(owner, id_), column_of(owner, id_, "error_code")) == ("unknown", "absent")
    travel(owner, 100_000)
    assert await due(ledger) == {}


async def test_a_record_that_fits_nothing_is_for_a_person(ledger: Pool, owner: psycopg.Connection) -> None:
    id_, _ = await unknown(ledger, owner)
    await look(ledger, Verdict.AMBIGUOUS)
    assert (status_of(owner, id_), column_of(owner, id_, "error_code")) == ("unknown", "ambiguous")
    assert "fleet messages arrived" in column_of(owner, id_, "error_message")
    travel(owner, 100_000)
    assert await due(ledger) == {}


async def test_an_absent_attempt_that_was_the_last_ends_exhausted(ledger: Pool, owner: psycopg.Connection) -> None:
    id_, _ = await unknown(ledger, owner)
    for seconds in LOOKS_SECONDS:
        travel(owner, seconds)
        await look(ledger, Verdict.ABSENT, max_attempts=1)
    assert (status_of(owner, id_), column_of(owner, id_, "error_class")) == ("failed", "exhausted")


async def test_a_message_whose_worker_died_three_times_is_not_sent_again(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    id_, now = insert(owner, channel="sms"), 0
    for _ in range(unknowns.DEADLY_LEASES):
        await start(ledger, Channel.SMS, provider="twilio", body=None)
        now += 70
        travel(owner, now)
        (dead,) = await batches.expire(ledger, margin_seconds=2, limit=10)
        assert (dead.replayable, dead.unknown) == (False, 1)
        for seconds in LOOKS_SECONDS:
            travel(owner, now + seconds)
            await look(ledger, Verdict.ABSENT)
        now += 902
        travel(owner, now)
    assert (status_of(owner, id_), column_of(owner, id_, "error_code")) == ("failed", "poison")


async def test_no_start_to_a_recipient_that_is_looked_up(ledger: Pool, owner: psycopg.Connection) -> None:
    first, _ = await unknown(ledger, owner)
    same, other = insert(owner, channel="sms"), insert(owner, channel="sms", recipient_phone="+14155550199")

    started = await start(ledger, Channel.SMS, provider="twilio", body=None)
    assert started.ids == [other]
    assert (status_of(owner, same), column_of(owner, same, "error_code")) == ("scheduled", "recipient_unknown")
    assert column_of(owner, same, "attempts") == 0

    await settle(
        ledger, [settlement(started, other, Status.SENT)], [Ended(started.send_key, started.lease)], worker="t"
    )
    await look(ledger, Verdict.FOUND, "SM1")
    travel(owner, 11)
    assert (await start(ledger, Channel.SMS, provider="twilio", body=None)).ids == [same]
    assert status_of(owner, first) == "sent"


@pytest.mark.parametrize("decision", [Verdict.AMBIGUOUS, None])
async def test_what_waits_for_a_person_or_is_another_channels_holds_nobody_up(
    ledger: Pool, owner: psycopg.Connection, decision: Verdict | None
) -> None:
    await unknown(ledger, owner)
    channel = Channel.SMS if decision else Channel.VOICE
    if decision:
        await look(ledger, decision)
    id_ = insert(owner, channel=channel.value)
    assert (await start(ledger, channel, provider="twilio", body=None)).ids == [id_]


async def test_nothing_is_decided_while_something_is_under_way_to_the_recipient(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    first, second = insert(owner, channel="sms"), insert(owner, channel="sms")
    token, ids = await claimed(ledger, Channel.SMS)
    mine = await start(ledger, Channel.SMS, provider="twilio", body=None, claim=(token, ids[:1]))
    other = await start(ledger, Channel.SMS, provider="twilio", body=None, claim=(token, ids[1:]))
    (id_,) = mine.ids
    one = settlement(mine, id_, Status.UNKNOWN, outcome="unknown")
    await settle(ledger, [one], [Ended(mine.send_key, mine.lease)], worker="test")

    assert await look(ledger, Verdict.FOUND, "SM1") is None
    assert await unknowns.members(ledger, RECIPIENT) == []

    # The other answer names an id; from then on the record's entry of that id is nobody else's.
    theirs = settlement(other, other.ids[0], Status.SENT, provider_message_id="SM1")
    await settle(ledger, [theirs], [Ended(other.send_key, other.lease)], worker="test")
    seen: list[frozenset[str]] = []

    def judge(_sought: Sequence[Unknown], known: frozenset[str]) -> list[Finding]:
        seen.append(known)
        return []

    await unknowns.resolve(ledger, RECIPIENT, ["SM1", "SM2"], judge, PATIENCE, max_attempts=5, resend_after_absent=True)
    assert seen == [frozenset({"SM1"})]
    assert {status_of(owner, first), status_of(owner, second)} == {"sent", "unknown"}


async def test_a_person_says_that_it_arrived(ledger: Pool, owner: psycopg.Connection) -> None:
    id_, _ = await unknown(ledger, owner)
    sent = insert(owner, status="sent")
    assert await decisions.arrived(ledger, [id_, sent], actor="cli:me") == {id_}
    assert status_of(owner, id_) == "sent"
    assert resolutions(owner, id_) == [("unknown", "arrived", "cli:me", None)]
    assert audited(owner) == [("cli:me", "arrived", str(id_))]
    assert count(owner, "unknowns") == 0


async def test_a_person_has_it_sent_again(ledger: Pool, owner: psycopg.Connection) -> None:
    id_, _ = await unknown(ledger, owner)
    assert await decisions.send_again(ledger, [id_], actor="cli:me") == {id_}
    assert (status_of(owner, id_), column_of(owner, id_, "attempts_forgiven")) == ("scheduled", 1)
    assert resolutions(owner, id_) == [("unknown", "sent again", "cli:me", None)]
    assert audited(owner) == [("cli:me", "send_again", str(id_))]
    assert (await start(ledger, Channel.SMS, provider="twilio", body=None)).ids == [id_]


async def dead_mails(ledger: Pool, owner: psycopg.Connection) -> tuple[Started, list[UUID]]:
    """Two mails of one batch whose worker died: it waits for its replay."""
    ids = [insert(owner), insert(owner)]
    started = await start(ledger)
    travel(owner, 70)
    await batches.expire(ledger, margin_seconds=2, limit=10)
    return started, ids


async def test_send_again_on_one_member_closes_the_batch_for_replay(ledger: Pool, owner: psycopg.Connection) -> None:
    _, (first, second) = await dead_mails(ledger, owner)

    assert await decisions.send_again(ledger, [first], actor="cli:me") == {first}

    assert count(owner, "batches") == 0
    assert await batches.claim_replays(ledger, uuid4(), lease_seconds=60, limit=10) == []
    assert (status_of(owner, first), status_of(owner, second)) == ("scheduled", "unknown")
    waiting = owner.execute("SELECT message_id, waits_for, address FROM fleet.unknowns").fetchall()
    assert waiting == [(second, "look", "delivered@resend.dev")]


async def test_send_again_leaves_alone_what_is_replayed_in_this_moment(ledger: Pool, owner: psycopg.Connection) -> None:
    _, (first, second) = await dead_mails(ledger, owner)
    assert await batches.claim_replays(ledger, uuid4(), lease_seconds=60, limit=10)

    assert await decisions.send_again(ledger, [first], actor="cli:me") == set()
    assert {status_of(owner, first), status_of(owner, second)} == {"unknown"}
    assert count(owner, "batches") == 1


async def test_a_batch_that_can_no_longer_be_replayed_is_looked_up(ledger: Pool, owner: psycopg.Connection) -> None:
    _, ids = await dead_mails(ledger, owner)
    travel(owner, batches.KEY_SECONDS["resend"] + 1)
    assert await batches.close_old(ledger) == 1
    rows = owner.execute("SELECT message_id FROM fleet.unknowns WHERE waits_for = 'look'").fetchall()
    assert {row[0] for row in rows} == set(ids)


async def test_a_replayed_attempt_leaves_nothing_to_look_up(ledger: Pool, owner: psycopg.Connection) -> None:
    await dead_mails(ledger, owner)
    assert count(owner, "unknowns") == 0


async def test_a_worker_that_dies_after_it_settled_one_as_unknown(ledger: Pool, owner: psycopg.Connection) -> None:
    first, second = insert(owner, channel="sms"), insert(owner, channel="sms", recipient_phone="+14155550199")
    started = await start(ledger, Channel.SMS, provider="twilio", body=None)
    await settle(ledger, [settlement(started, first, Status.UNKNOWN, outcome="unknown")], [], worker="test")
    travel(owner, 70)
    assert [dead.unknown for dead in await batches.expire(ledger, margin_seconds=2, limit=10)] == [2]
    assert {status_of(owner, first), status_of(owner, second)} == {"unknown"}
    assert count(owner, "unknowns") == 2


async def test_found_after_another_attempt_was_proven_is_flagged(ledger: Pool, owner: psycopg.Connection) -> None:
    id_, first = await unknown(ledger, owner)
    for seconds in LOOKS_SECONDS:
        travel(owner, seconds)
        await look(ledger, Verdict.ABSENT)
    travel(owner, 902)
    again = await start(ledger, Channel.SMS, provider="twilio", body=None)
    one = settlement(again, id_, Status.UNKNOWN, outcome="unknown")
    await settle(ledger, [one], [Ended(again.send_key, again.lease)], worker="test")
    proof = events.Report(
        provider="twilio",
        tenant_id=UUID(int=0),
        event_id="e",
        kind=Kind.ACCEPTED,
        provider_message_id="SM1",
        message_id=id_,
        attempt_id=first,
        body={"sid": "SM1"},
    )
    await events.store(ledger, [proof])
    await events.apply(ledger, await events.claim(ledger, limit=1, lease_seconds=60))
    assert status_of(owner, id_) == "sent"

    await look(ledger, Verdict.FOUND, "SM2")

    assert (status_of(owner, id_), column_of(owner, id_, "error_code")) == ("sent", "duplicate")
    assert ("look-up", "duplicate", str(id_)) in audited(owner)


async def test_claims_and_findings_are_the_claimants_only(ledger: Pool, owner: psycopg.Connection) -> None:
    _, attempt = await unknown(ledger, owner)
    travel(owner, 61)
    token = uuid4()
    await unknowns.claim(ledger, Channel.SMS, token, PATIENCE, lease_seconds=60, limit=10)
    assert await unknowns.read(ledger, [str(attempt)], uuid4()) == {}
    await unknowns.postpone(ledger, [attempt], uuid4(), delay_seconds=0)
    assert await due(ledger) == {}
    await unknowns.postpone(ledger, [attempt], token, delay_seconds=5)
    assert await due(ledger) == {}
    travel(owner, 67)
    assert await due(ledger)


def resolutions(owner: psycopg.Connection, id_: UUID) -> list[tuple[object, ...]]:
    return owner.execute(
        "SELECT outcome, resolution, resolved_by, provider_message_id FROM fleet.attempts WHERE message_id = %s", (id_,)
    ).fetchall()


def audited(owner: psycopg.Connection) -> list[tuple[object, ...]]:
    return owner.execute("SELECT actor, action, subject FROM fleet.audit_log").fetchall()


def count(owner: psycopg.Connection, table: str) -> int:
    row = owner.execute(f"SELECT count(*) FROM fleet.{table}".encode()).fetchone()
    assert row
    return int(row[0])


async def test_of_two_recipients_who_are_shown_one_record_only_one_takes_it(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    """As two spellings of an address, or two keys of one account, at a vendor that knows them as one."""
    await unknown(ledger, owner)
    other = replace(RECIPIENT, address="+14155550199")
    await unknown(ledger, owner, recipient_phone=other.address)
    both = asyncio.Barrier(2)

    async def take(recipient: Recipient) -> int | None:
        def judge(sought: Sequence[Unknown], known: frozenset[str]) -> list[Finding]:
            verdict = Verdict.ABSENT if "SM1" in known else Verdict.FOUND
            return [Finding(one.attempt_id, verdict, "SM1" if verdict is Verdict.FOUND else None) for one in sought]

        await both.wait()
        return await unknowns.resolve(
            ledger, recipient, ["SM1"], judge, PATIENCE, max_attempts=5, resend_after_absent=True
        )

    assert sorted([await one for one in asyncio.as_completed([take(RECIPIENT), take(other)])], key=str) == [0, 1]
    statuses = owner.execute("SELECT status FROM channel_outbox ORDER BY status").fetchall()
    assert statuses == [("sent",), ("unknown",)]
