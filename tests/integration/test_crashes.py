"""A message that kills whoever prepares it: it stops alone, and it stops."""

from asyncio import CancelledError
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import redis
from psycopg import OperationalError

from config.broker import Broker
from config.channels import Channel
from config.database import Pool
from config.settings import Settings
from outbox import bundles, claims, presence, search
from providers.base import Account, Message, Part
from providers.resend import Resend
from scheduler.relay import Relay
from tests.factories import column_of, insert, status_of, travel
from tests.integration.conftest import Vendors, deliver
from tests.started import claimed
from workers.runtime import Runtime
from workers.send import send_bundle

LONGEST_DELAY_SECONDS = 4 * claims.CRASH_DELAY_SECONDS + 1
POISON = {"subject": "Poison", "text": "x"}


class Death(BaseException):
    """Stands for the end of the process, which runs no code of ours."""


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever renders the poison dies."""
    render = Resend.render

    def die(self: Resend, message: Message, account: Account) -> Part:
        if message.payload == POISON:
            raise Death
        return render(self, message, account)

    monkeypatch.setattr(Resend, "render", die)


async def crash(worker: Runtime, owner: psycopg.Connection, after_seconds: float) -> list[int]:
    """Claim what is due, have the worker take it as the relay bundles it, and let the leases of the dead run out.

    Returns the sizes of the bundles that killed.
    """
    token = uuid4()
    taken = await claims.claim(worker.pool, Channel.EMAIL, limit=1000, token=token, lease_seconds=60)
    killed = []
    for ids in [[one.id for one in taken if not one.alone], *([one.id] for one in taken if one.alone)]:
        try:
            await send_bundle(worker, Channel.EMAIL, token, ids)
        except Death:
            killed.append(len(ids))
    await worker.settled()
    travel(owner, after_seconds)
    await claims.rescue(worker.pool, limit=1000)
    travel(owner, after_seconds + LONGEST_DELAY_SECONDS)
    return killed


async def test_it_takes_others_along_once_and_ends_after_three_crashes(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, deadly: None
) -> None:
    fine = [insert(owner, recipient_email=f"delivered+{number}@resend.dev") for number in range(5)]
    poison = insert(owner, payload=POISON)

    assert await crash(worker, owner, 70) == [6]
    assert {column_of(owner, id_, "crashes") for id_ in (*fine, poison)} == {1}
    assert await crash(worker, owner, 170) == [1]
    assert {status_of(owner, id_) for id_ in fine} == {"sent"}
    assert (status_of(owner, poison), column_of(owner, poison, "crashes")) == ("scheduled", 2)
    assert await crash(worker, owner, 270) == [1]

    assert (status_of(owner, poison), column_of(owner, poison, "error_class")) == ("failed", "rejected")
    assert column_of(owner, poison, "error_code") == "poison"
    assert "3 times" in column_of(owner, poison, "error_message")
    assert column_of(owner, poison, "finalized_at") is not None
    assert column_of(owner, poison, "attempts") == 0
    assert (await vendors.stats())["resend"]["requests"] == len(fine)
    assert owner.execute("SELECT count(*) FROM fleet.bundles").fetchone() == (3,)


async def test_a_person_who_tries_it_again_gives_it_three_more(worker: Runtime, owner: psycopg.Connection) -> None:
    poison = insert(owner, status="failed", crashes=3, error_code="poison", error_class="rejected")

    assert await search.retry(worker.pool, [poison], actor="test") == {poison}

    assert (status_of(owner, poison), column_of(owner, poison, "crashes")) == ("scheduled", 0)


async def test_a_claim_that_ran_out_outside_a_worker_is_no_crash(ledger: Pool, owner: psycopg.Connection) -> None:
    id_ = insert(owner)
    for passed in (70, 140, 210, 280):
        await claimed(ledger)  # Redis is wiped here: nobody ever sees it
        travel(owner, passed)
        assert await claims.rescue(ledger, limit=10) == 1

    assert (status_of(owner, id_), column_of(owner, id_, "crashes")) == ("scheduled", 0)


async def test_only_the_bundle_in_hand_is_suspected(ledger: Pool, owner: psycopg.Connection) -> None:
    held, waiting = insert(owner), insert(owner)
    token, _ = await claimed(ledger)
    await bundles.in_hand(ledger, uuid4(), token, [str(held)]).__aenter__()
    await bundles.in_hand(ledger, uuid4(), token, [str(held)]).__aenter__()  # another worker, the same bundle
    travel(owner, 70)
    await claims.rescue(ledger, limit=10)

    assert (column_of(owner, held, "crashes"), column_of(owner, waiting, "crashes")) == (1, 0)
    assert (await claimed(ledger))[1] == [str(waiting)], "what crashed is not what everybody begins with"
    travel(owner, 70 + claims.CRASH_DELAY_SECONDS + 1)
    assert (await claimed(ledger))[1] == [str(held)]


async def test_a_worker_that_is_seen_afterwards_was_slow_and_did_not_crash(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    id_, slow = insert(owner), uuid4()
    token, _ = await claimed(ledger)
    await announce(ledger, slow)
    await bundles.in_hand(ledger, slow, token, [str(id_)]).__aenter__()
    travel(owner, 61)
    assert await claims.rescue(ledger, limit=10) == 0, "it may be seen yet"

    await announce(ledger, slow)

    assert await claims.rescue(ledger, limit=10) == 1
    assert (status_of(owner, id_), column_of(owner, id_, "crashes")) == ("scheduled", 0)


async def test_a_worker_that_is_not_seen_again_crashed(ledger: Pool, owner: psycopg.Connection) -> None:
    id_, dead = insert(owner), uuid4()
    token, _ = await claimed(ledger)
    await announce(ledger, dead)
    await bundles.in_hand(ledger, dead, token, [str(id_)]).__aenter__()
    travel(owner, 60 + claims.BEAT_SECONDS + 1)

    assert await claims.rescue(ledger, limit=10) == 1
    assert (status_of(owner, id_), column_of(owner, id_, "crashes")) == ("scheduled", 1)


@pytest.mark.parametrize(("error", "crashes"), [(RuntimeError, 1), (OperationalError, 0), (CancelledError, 0)])
async def test_an_error_of_ours_counts_though_the_worker_lives_and_an_outage_does_not(
    ledger: Pool, owner: psycopg.Connection, error: type[BaseException], crashes: int
) -> None:
    id_, alive = insert(owner), uuid4()
    token, _ = await claimed(ledger)
    await announce(ledger, alive)
    with pytest.raises(error):
        async with bundles.in_hand(ledger, alive, token, [str(id_)]):
            raise error
    travel(owner, 61)
    await announce(ledger, alive)

    assert await claims.rescue(ledger, limit=10) == 1
    assert (status_of(owner, id_), column_of(owner, id_, "crashes")) == ("scheduled", crashes)


async def test_another_process_under_its_id_is_not_the_worker_seen_again(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    id_, unit = insert(owner), uuid4()
    token, _ = await claimed(ledger)
    await announce(ledger, unit)
    await bundles.in_hand(ledger, unit, token, [str(id_)]).__aenter__()
    travel(owner, 61)
    owner.execute("DELETE FROM fleet.workers")
    await announce(ledger, unit)

    assert await claims.rescue(ledger, limit=10) == 1
    assert (status_of(owner, id_), column_of(owner, id_, "crashes")) == ("scheduled", 1)


async def announce(ledger: Pool, worker: UUID) -> None:
    await presence.announce(ledger, presence.Presence(worker, "host", 1, ["email"], 4, "0"), 0)


async def test_a_bundle_that_was_prepared_leaves_no_note(worker: Runtime, owner: psycopg.Connection) -> None:
    id_ = insert(owner)
    await deliver(worker)

    assert status_of(owner, id_) == "sent"
    assert owner.execute("SELECT count(*) FROM fleet.bundles").fetchone() == (0,)


async def test_old_notes_are_forgotten(ledger: Pool, owner: psycopg.Connection) -> None:
    await bundles.in_hand(ledger, uuid4(), uuid4(), [str(uuid4())]).__aenter__()
    await bundles.prune(ledger)
    assert owner.execute("SELECT count(*) FROM fleet.bundles").fetchone() == (1,)
    travel(owner, 7300)
    await bundles.prune(ledger)
    assert owner.execute("SELECT count(*) FROM fleet.bundles").fetchone() == (0,)


async def test_the_relay_puts_it_into_a_bundle_of_its_own(
    ledger: Pool, owner: psycopg.Connection, redis_url: str, settings: Settings
) -> None:
    suspects = {str(insert(owner, crashes=number)) for number in (1, 2)}
    others = {str(insert(owner)) for _ in range(3)}
    broker = Broker(redis_url)

    assert (await Relay(ledger, broker, settings, [Channel.EMAIL]).run_once()).moved == 5

    sizes = sorted(len(ids) for ids in bundled(broker.client))
    together = max(bundled(broker.client), key=len)
    broker.close()
    assert sizes == [1, 1, 3]
    assert set(together) == others
    assert not suspects & others


@pytest.mark.parametrize("columns", [{"crashes": 1}, {"attempts": 1}], ids=["preparing", "sending"])
async def test_it_has_a_request_of_its_own(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, columns: dict[str, Any]
) -> None:
    suspect = insert(owner, recipient_email="delivered+0@resend.dev", **columns)
    for number in (1, 2):
        insert(owner, recipient_email=f"delivered+{number}@resend.dev")
    if "attempts" in columns:
        owner.execute(
            "INSERT INTO fleet.attempts (message_id, number, counted, id, send_key, provider, account, "
            "account_tenant_id, started_at, finished_at, outcome, error_code) VALUES (%s, 1, true, gen_random_uuid(), "
            "gen_random_uuid(), 'resend', 'x', gen_random_uuid(), now(), now(), 'unknown', 'lease_expired')",
            (suspect,),
        )

    await deliver(worker)

    resend = (await vendors.stats())["resend"]
    assert (resend["requests"], resend["accepted"]) == (2, 3)


def bundled(client: redis.Redis) -> list[list[str]]:
    """The ids of each bundle of mails in Redis."""
    import json

    messages = client.hvals("dramatiq:email.msgs")
    assert isinstance(messages, list)
    return [json.loads(message)["args"][1] for message in messages]
