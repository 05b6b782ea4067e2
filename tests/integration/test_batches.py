"""What becomes of a batch whose worker went silent: unknown, replay, and their ends."""

from uuid import uuid4

import psycopg
import pytest

from config.channels import Channel
from config.database import Pool
from outbox import batches
from outbox.batches import KEY_SECONDS
from outbox.settlements import Ended, settle
from outbox.states import Status
from tests.factories import attempts_of, column_of, insert, status_of, travel
from tests.started import ACCOUNT, Started, start

DEAD = 70
"""Seconds after which a lease of sixty has run out, its margin included."""


async def expire(ledger: Pool) -> list[batches.Expired]:
    return await batches.expire(ledger, margin_seconds=2, limit=100)


async def replay(ledger: Pool, started: Started) -> tuple[batches.Replay | None, Started]:
    """Claim and begin the replay that is due, as rescuer and worker do."""
    token, lease = uuid4(), uuid4()
    await batches.claim_replays(ledger, token, lease_seconds=60, limit=10)
    found = await batches.begin_replay(ledger, started.send_key, token, worker=uuid4(), lease=lease, lease_seconds=60)
    return found, Started(started.send_key, lease, started.ids)


async def test_a_live_batch_is_left_alone_and_a_renewed_one_lives(ledger: Pool, owner: psycopg.Connection) -> None:
    insert(owner)
    started = await start(ledger)
    travel(owner, 50)
    assert await expire(ledger) == []
    assert await batches.renew(ledger, {started.send_key: started.lease, uuid4(): uuid4()}, 60) == {started.send_key}
    assert await batches.renew(ledger, {started.send_key: uuid4()}, 60) == set()
    travel(owner, DEAD)
    assert await expire(ledger) == []


async def test_a_dead_batch_of_an_idempotent_vendor_is_replayed(ledger: Pool, owner: psycopg.Connection) -> None:
    id_, other = insert(owner), insert(owner)
    started = await start(ledger)
    travel(owner, DEAD)

    assert await expire(ledger) == [batches.Expired(started.send_key, True, 2)]
    assert (status_of(owner, id_), attempts_of(owner, id_)) == ("unknown", [(1, "unknown", True)])

    found, again = await replay(ledger, started)
    assert found is not None
    assert (found.body, list(found.member_ids), found.account) == (b"body", list(started.ids), ACCOUNT)
    assert set(found.senders) == {str(id_), str(other)}
    assert column_of(owner, id_, "attempts") == 2

    ended = [Ended(again.send_key, again.lease)]
    await settle(ledger, [again.settlement(id_), again.settlement(other)], ended, worker="test")
    assert {status_of(owner, one) for one in (id_, other)} == {"sent"}
    assert attempts_of(owner, id_) == [(1, "unknown", True), (2, "accepted", True)]
    assert owner.execute("SELECT count(*) FROM fleet.batches").fetchone() == (0,)


async def test_the_dead_workers_answer_changes_nothing_any_more(ledger: Pool, owner: psycopg.Connection) -> None:
    id_ = insert(owner)
    started = await start(ledger)
    travel(owner, DEAD)
    await expire(ledger)

    late = await settle(ledger, [started.settlement(id_)], [Ended(started.send_key, started.lease)], worker="test")

    assert late == set()
    assert status_of(owner, id_) == "unknown"
    assert owner.execute("SELECT count(*) FROM fleet.batches").fetchone() == (1,)


async def test_a_batch_is_not_replayed_for_those_that_may_be_scheduled_again(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    """Its worker died between two halves of a settlement: the request was refused, and only one half knows it."""
    refused, unknown = sorted(insert(owner) for _ in range(2))
    started = await start(ledger)
    await settle(ledger, [started.settlement(refused, Status.SCHEDULED)], [], worker="test")
    travel(owner, DEAD)

    assert await expire(ledger) == [batches.Expired(started.send_key, False, 1)]

    assert (status_of(owner, refused), status_of(owner, unknown)) == ("scheduled", "unknown")


async def test_a_dead_batch_of_another_vendor_is_unknown_and_ends(ledger: Pool, owner: psycopg.Connection) -> None:
    settled, lost = insert(owner, "sms"), insert(owner, "sms")
    started = await start(ledger, Channel.SMS, provider="twilio", body=None)
    await settle(ledger, [started.settlement(settled)], [], worker="test")
    travel(owner, DEAD)

    assert await expire(ledger) == [batches.Expired(started.send_key, False, 1)]

    assert (status_of(owner, settled), status_of(owner, lost)) == ("sent", "unknown")
    assert attempts_of(owner, settled) == [(1, "accepted", True)]
    assert owner.execute("SELECT count(*) FROM fleet.batches").fetchone() == (0,)


async def test_a_replay_that_dies_is_replayed_and_its_attempts_have_no_gap(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    id_ = insert(owner)
    started = await start(ledger)
    travel(owner, DEAD)
    await expire(ledger)
    await replay(ledger, started)
    travel(owner, 2 * DEAD)

    assert await expire(ledger) == [batches.Expired(started.send_key, True, 1)]
    assert attempts_of(owner, id_) == [(1, "unknown", True), (2, "unknown", True)]
    found, _ = await replay(ledger, started)
    assert found is not None
    assert found.replays == 2


async def test_a_replay_belongs_to_one_worker(ledger: Pool, owner: psycopg.Connection) -> None:
    insert(owner)
    started = await start(ledger)
    travel(owner, DEAD)
    await expire(ledger)
    token = uuid4()
    assert await batches.claim_replays(ledger, token, lease_seconds=60, limit=10) == [
        (str(started.send_key), Channel.EMAIL)
    ]
    assert await batches.claim_replays(ledger, uuid4(), lease_seconds=60, limit=10) == []

    first = await batches.begin_replay(ledger, started.send_key, token, worker=uuid4(), lease=uuid4(), lease_seconds=60)
    second = await batches.begin_replay(
        ledger, started.send_key, token, worker=uuid4(), lease=uuid4(), lease_seconds=60
    )

    assert first is not None
    assert second is None


async def test_what_was_decided_meanwhile_is_not_replayed_again(ledger: Pool, owner: psycopg.Connection) -> None:
    known, unknown = insert(owner), insert(owner)
    started = await start(ledger)
    travel(owner, DEAD)
    await expire(ledger)
    async with ledger.connection() as connection:
        await connection.execute("UPDATE channel_outbox SET status = 'sent' WHERE id = %s", (known,))

    found, again = await replay(ledger, started)

    assert found is not None
    assert set(found.senders) == {str(unknown)}
    assert await settle(ledger, [again.settlement(known, Status.FAILED)], [], worker="test") == set()
    assert status_of(owner, known) == "sent"


async def test_a_replay_given_back_is_due_later(ledger: Pool, owner: psycopg.Connection) -> None:
    insert(owner)
    started = await start(ledger)
    travel(owner, DEAD)
    await expire(ledger)
    token = uuid4()
    await batches.claim_replays(ledger, token, lease_seconds=60, limit=10)

    await batches.postpone_replays(ledger, [started.send_key], token, delay_seconds=30)

    assert await batches.claim_replays(ledger, uuid4(), lease_seconds=60, limit=10) == []
    travel(owner, DEAD + 31)
    assert len(await batches.claim_replays(ledger, uuid4(), lease_seconds=60, limit=10)) == 1


async def test_after_a_day_the_vendor_may_have_forgotten_the_key(ledger: Pool, owner: psycopg.Connection) -> None:
    id_ = insert(owner)
    started = await start(ledger)
    travel(owner, DEAD)
    await expire(ledger)
    travel(owner, KEY_SECONDS["resend"] + 1)

    assert await batches.claim_replays(ledger, uuid4(), lease_seconds=60, limit=10) == []
    assert await batches.close_old(ledger) == 1
    assert status_of(owner, id_) == "unknown"
    assert started.ids == [id_]


async def test_a_batch_that_dies_after_a_day_is_not_replayed(ledger: Pool, owner: psycopg.Connection) -> None:
    insert(owner)
    started = await start(ledger)
    travel(owner, KEY_SECONDS["resend"] + DEAD)

    assert await expire(ledger) == [batches.Expired(started.send_key, False, 1)]


async def test_each_vendors_keys_are_kept_as_long_as_that_vendor_keeps_them(
    ledger: Pool, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KEY_SECONDS, "short", 3600.0)
    insert(owner)
    long = await start(ledger)
    insert(owner)
    short = await start(ledger, provider="short")
    travel(owner, DEAD)
    assert {(one.send_key, one.replayable) for one in await expire(ledger)} == {
        (long.send_key, True),
        (short.send_key, True),
    }

    travel(owner, 3601)
    assert await batches.close_old(ledger) == 1
    due = await batches.claim_replays(ledger, uuid4(), lease_seconds=60, limit=10)
    assert due == [(str(long.send_key), Channel.EMAIL)]


async def test_a_batch_of_a_short_memory_that_dies_late_is_not_replayed(
    ledger: Pool, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KEY_SECONDS, "short", 3600.0)
    insert(owner)
    started = await start(ledger, provider="short")
    travel(owner, 3601)
    assert await expire(ledger) == [batches.Expired(started.send_key, False, 1)]


async def test_sending_without_a_batch_is_unknown(ledger: Pool, owner: psycopg.Connection) -> None:
    orphan, fine = insert(owner, status="sending"), insert(owner)
    await start(ledger)
    travel(owner, DEAD)

    assert await batches.mark_orphans(ledger, lease_seconds=60, limit=10) == 1
    assert (status_of(owner, orphan), status_of(owner, fine)) == ("unknown", "sending")
