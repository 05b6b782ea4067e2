"""A settlement that waits while proof of an earlier try is being committed ends with that proof."""

import asyncio
from uuid import UUID

import psycopg
import pytest

from config.channels import Channel
from config.database import Connection, Pool
from outbox import events
from outbox.queries import load
from outbox.settlements import Ended, settle
from outbox.states import Status
from tests.factories import insert, status_of
from tests.integration.test_events import duplicates, report
from tests.started import Started, start

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def settled(pool: Pool, started: Started, id_: UUID, status: Status, *, tried_before: bool) -> None:
    one = started.settlement(id_, status, provider="twilio", tried_before=tried_before)
    await settle(pool, [one], [Ended(started.send_key, started.lease)], worker="test")


async def until_it_waits(owner: psycopg.Connection, task: "asyncio.Task[None]") -> None:
    while (owner.execute(_WAITING).fetchone() or (0,))[0] == 0:
        assert not task.done(), "the settlement did not wait for the event"
        await asyncio.sleep(0.01)


async def begin_to_prove(connection: Connection, event_id: int) -> None:
    """What applying does, up to its commit."""
    statements = load("events")
    await connection.execute(statements["apply_lock"], {"ids": [event_id]})
    cursor = await connection.execute("SELECT message_id FROM fleet.events WHERE id = %s", (event_id,))
    row = await cursor.fetchone()
    assert row is not None
    await connection.execute(statements["apply"], {"ids": [event_id], "message_ids": [row[0]], **events.KNOWN})


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.SENT])
async def test_proof_that_commits_while_a_settlement_waits_is_seen(
    ledger: Pool, owner: psycopg.Connection, status: Status
) -> None:
    """A try that may be repeated is not; a second acceptance is flagged."""
    insert(owner, "sms")
    first = await start(ledger, Channel.SMS, provider="twilio", body=None)
    (id_,) = first.ids
    await settled(ledger, first, id_, Status.SCHEDULED, tried_before=False)
    second = await start(ledger, Channel.SMS, provider="twilio", body=None)
    await events.store(ledger, [report(first)])
    (event_id,) = await events.claim(ledger, limit=1, lease_seconds=60)

    async with ledger.connection() as connection:
        async with connection.transaction():
            await begin_to_prove(connection, event_id)
            settling = asyncio.create_task(settled(ledger, second, id_, status, tried_before=True))
            await until_it_waits(owner, settling)
        await settling

    assert status_of(owner, id_) == "sent"
    assert duplicates(owner) == ([str(id_)] if status is Status.SENT else [])
