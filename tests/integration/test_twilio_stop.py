"""STOP and START: written to a number, or told by the vendor's refusal; obeyed at the next start, in one workspace."""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import OperationalError

from config.channels import Channel
from config.database import Pool
from config.settings import Settings
from outbox import events
from tests.factories import column_of, insert, status_of
from tests.integration.conftest import deliver
from tests.integration.test_webhooks import Web, door
from tests.started import claimed
from workers import settle
from workers.runtime import Runtime
from workers.send import send_bundle

OUR_NUMBER = "+15005550006"
REFUSED = "+15005550004"
"""Of Twilio's own test numbers the one that has replied STOP: 21610."""

Write = Callable[..., Awaitable[None]]


async def apply_all(pool: Pool) -> None:
    await events.apply(pool, await events.claim(pool, limit=100, lease_seconds=60))


@pytest.fixture
def write(ledger: Pool, settings: Settings) -> Write:
    """Write to our number as a person does: the receiver stores it, a worker applies it."""
    web = Web(door(ledger, settings))

    async def written(body: str, sender: str = "+14155550100") -> None:
        said = {"MessageSid": f"SM{uuid4().hex}", "SmsStatus": "received", "From": sender, "To": OUR_NUMBER}
        assert await web.call_back({**said, "Body": body, "NumMedia": "0"}) == 204
        await apply_all(ledger)

    return written


def suppressions(owner: psycopg.Connection) -> list[tuple[object, ...]]:
    return owner.execute(
        "SELECT workspace_id, channel, address, reason, released_at IS NOT NULL FROM fleet.suppressions "
        "WHERE created_at > '-infinity' ORDER BY created_at"
    ).fetchall()


async def test_what_waits_in_the_queue_is_not_sent_after_a_stop_until_start(
    worker: Runtime, owner: psycopg.Connection, write: Write
) -> None:
    ours, theirs = uuid4(), uuid4()
    insert(owner, "sms", workspace_id=theirs)
    await deliver(worker, Channel.SMS)
    first = insert(owner, "sms", workspace_id=ours)
    await deliver(worker, Channel.SMS)
    stopped, elsewhere = insert(owner, "sms", workspace_id=ours), insert(owner, "sms", workspace_id=theirs)
    token, ids = await claimed(worker.pool, Channel.SMS)

    await write("Stop.")
    await send_bundle(worker, Channel.SMS, token, ids)
    await worker.settled()

    assert [status_of(owner, id_) for id_ in (first, stopped, elsewhere)] == ["sent", "suppressed", "sent"]
    assert suppressions(owner) == [(ours, "sms", "+14155550100", "stopped", False)]
    await write("START")
    again = insert(owner, "sms", workspace_id=ours)
    await deliver(worker, Channel.SMS)
    assert status_of(owner, again) == "sent"
    assert suppressions(owner)[0][-1] is True


async def test_who_writes_answers_the_last_text_and_not_a_later_call(
    worker: Runtime, owner: psycopg.Connection, write: Write
) -> None:
    texts, calls = uuid4(), uuid4()
    insert(owner, "sms", workspace_id=texts)
    await deliver(worker, Channel.SMS)
    insert(owner, "voice", workspace_id=calls, provider="twilio", payload={"say": "Hello"})
    await deliver(worker, Channel.VOICE)

    await write("STOP")

    assert suppressions(owner) == [(texts, "sms", "+14155550100", "stopped", False)]


async def test_a_reply_is_kept_with_its_message_and_suppresses_nobody(
    worker: Runtime, owner: psycopg.Connection, write: Write
) -> None:
    id_ = insert(owner, "sms")
    await deliver(worker, Channel.SMS)

    await write("Who is this? Please stop")

    found = owner.execute("SELECT kind, message_id, our_address, details->>'text' FROM fleet.events").fetchall()
    assert found == [("replied", id_, OUR_NUMBER, "Who is this? Please stop")]
    assert (status_of(owner, id_), suppressions(owner)) == ("sent", [])


async def refuse(worker: Runtime, owner: psycopg.Connection, workspace: UUID) -> UUID:
    """Send to somebody of whom the vendor says that he replied STOP."""
    id_ = insert(owner, "sms", workspace_id=workspace, recipient_phone=REFUSED)
    await deliver(worker, Channel.SMS)
    return id_


async def test_a_refused_send_suppresses_the_next_one_in_its_workspace(
    worker: Runtime, owner: psycopg.Connection, write: Write
) -> None:
    workspace = uuid4()
    first = await refuse(worker, owner, workspace)
    await apply_all(worker.pool)

    assert (status_of(owner, first), column_of(owner, first, "error_class")) == ("failed", "rejected")
    assert column_of(owner, first, "error_code") == "21610"
    attempt = owner.execute("SELECT outcome, id, resolution FROM fleet.attempts").fetchall()
    assert [(outcome, resolution) for outcome, _, resolution in attempt] == [("rejected", None)]
    event = owner.execute("SELECT event_id, kind, message_id, channel, code, workspace_id FROM fleet.events").fetchall()
    assert event == [(f"refused:{attempt[0][1]}", "stopped", first, "sms", "21610", workspace)]
    assert suppressions(owner) == [(workspace, "sms", REFUSED, "stopped", False)]

    assert status_of(owner, await refuse(worker, owner, workspace)) == "suppressed"
    assert status_of(owner, await refuse(worker, owner, uuid4())) == "failed", "another workspace asks the vendor"
    await apply_all(worker.pool)
    await write("UNSTOP", REFUSED)
    assert [is_released for *_, is_released in suppressions(owner)] == [True, True]


async def test_a_refusal_is_told_once_the_database_is_back(
    worker: Runtime, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, tries = events.store, iter([OperationalError("gone"), OperationalError("gone")])

    async def away_twice(pool: Pool, reports: list[events.Report]) -> int:
        if error := next(tries, None):
            raise error
        return await store(pool, reports)

    monkeypatch.setattr(events, "store", away_twice)
    monkeypatch.setattr(settle, "RETRY_SECONDS", 0.01)

    await refuse(worker, owner, uuid4())

    assert owner.execute("SELECT kind FROM fleet.events").fetchall() == [("stopped",)]
