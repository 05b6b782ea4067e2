"""Halted accounts: nothing of them is claimed, all of it waits with the reason, and nobody else waits for it."""

from datetime import timedelta
from uuid import UUID, uuid4

import psycopg

from config.channels import Channel
from config.database import Pool
from config.settings import load
from outbox import accounts
from scheduler.halts import Halts
from tests.factories import column_of, insert, status_of, travel
from tests.started import claimed
from workers.runtime import Runtime

NOBODY = UUID(int=0)
SETTINGS = """
INSERT INTO ai_settings_resend (tenant_id, api_key_encrypted, from_email, is_connected) VALUES (%s, 'k', 'a@b.dev', %s)
"""


async def halt(pool: Pool, tenant: UUID, provider: str = "resend") -> None:
    await accounts.halt(
        pool, (tenant, provider, "f"), code="invalid_api_key", reason="the key was revoked", seconds=120
    )


async def test_what_a_halted_tenant_has_due_is_not_claimed_and_the_rest_is(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    tenant, other = uuid4(), uuid4()
    held = [
        insert(owner, tenant_id=tenant),
        insert(owner, workspace_id=tenant),
        insert(owner, tenant_id=tenant, priority=5),
    ]
    free = {insert(owner, tenant_id=other), insert(owner, tenant_id=other, workspace_id=tenant)}
    await halt(ledger, tenant)

    _, ids = await claimed(ledger)

    assert {UUID(id_) for id_ in ids} == free
    assert {status_of(owner, id_) for id_ in held} == {"scheduled"}


async def test_they_are_put_off_with_the_reason_until_the_halt_is_over(ledger: Pool, owner: psycopg.Connection) -> None:
    tenant = uuid4()
    held = [insert(owner, tenant_id=tenant, priority=priority) for priority in (-1, None, 0, 1)]
    free = insert(owner)
    await halt(ledger, tenant)

    assert await Halts(ledger, load({})).run_once() == len(held)
    assert await Halts(ledger, load({})).run_once() == 0

    for id_ in held:
        assert column_of(owner, id_, "error_code") == "invalid_api_key"
        assert column_of(owner, id_, "error_message") == "the key was revoked"
    waits = owner.execute(
        "SELECT count(*) FROM channel_outbox WHERE scheduled_at >= now() + interval '115 s'"
    ).fetchone()
    assert waits == (len(held),)
    assert column_of(owner, free, "error_code") is None
    travel(owner, 200)
    _, ids = await claimed(ledger)
    assert {UUID(id_) for id_ in ids} == {*held, free}


async def test_another_provider_of_the_tenant_goes_on(ledger: Pool, owner: psycopg.Connection) -> None:
    tenant = uuid4()
    insert(owner, "voice", tenant_id=tenant, provider="vapi")
    by_twilio = insert(owner, "voice", tenant_id=tenant, provider="twilio")
    await halt(ledger, tenant, "vapi")

    assert await Halts(ledger, load({})).run_once() == 1
    _, ids = await claimed(ledger, Channel.VOICE)

    assert ids == [str(by_twilio)]


async def test_a_halt_of_the_shared_account_is_left_to_the_workers(ledger: Pool, owner: psycopg.Connection) -> None:
    """Whose messages it concerns is known by the tenants' settings, which the loop does not read."""
    insert(owner)
    await halt(ledger, NOBODY)

    assert await Halts(ledger, load({})).run_once() == 0


async def test_settings_that_cannot_be_used_hold_the_tenant_as_well(worker: Runtime, owner: psycopg.Connection) -> None:
    tenant = uuid4()
    owner.execute(SETTINGS, (tenant, False))
    id_ = insert(owner, tenant_id=tenant)

    await worker.accounts.resolve("resend", {tenant})

    assert await Halts(worker.pool, load({})).run_once() == 1
    assert (status_of(owner, id_), column_of(owner, id_, "error_code")) == ("scheduled", "not_connected")


async def test_a_tenant_that_connects_again_sends_after_the_halt(worker: Runtime, owner: psycopg.Connection) -> None:
    tenant = uuid4()
    owner.execute(SETTINGS, (tenant, False))
    await worker.accounts.resolve("resend", {tenant})
    owner.execute("UPDATE ai_settings_resend SET is_connected = true")
    worker.accounts._known.clear()

    found = (await worker.accounts.resolve("resend", {tenant}))[tenant]

    assert not isinstance(found, Exception), "what was wrong before halts no new credentials"


async def test_a_halt_does_not_move_a_messages_end(ledger: Pool, owner: psycopg.Connection) -> None:
    """The late policy counts from when it was first due, however long its account cannot send."""
    tenant = uuid4()
    id_ = insert(owner, tenant_id=tenant)
    first_due = column_of(owner, id_, "created_at")
    await halt(ledger, tenant)

    await Halts(ledger, load({"FLEET_LATE_AFTER_SECONDS": "email=86400"})).run_once()

    assert column_of(owner, id_, "expires_at") == first_due + timedelta(days=1)
