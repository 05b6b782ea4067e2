"""On an account that tenants share, what a person says counts for the tenant whom they answer."""

from typing import Any
from uuid import UUID, uuid4

import psycopg

from config.channels import Channel
from config.database import Pool
from config.vocabulary import Kind
from outbox import events, replies
from outbox.events import Report
from outbox.settlements import Ended, settle
from outbox.states import Status
from providers.base import PROVIDER_WIDE
from tests.factories import insert
from tests.started import start

from .test_events import tell

PERSON_PHONE, PERSON_MAIL = "+14155550100", "p@mail.dev"
NUMBER = """
INSERT INTO voice_phone_numbers (tenant_id, phone_number, provider, provider_id, is_active)
VALUES (%s, %s, %s, %s, true)
"""


async def sent(
    pool: Pool, owner: psycopg.Connection, workspace: UUID, channel: str, provider: str, sender: str
) -> UUID:
    """A message that the shared account sent for a workspace, from a sender."""
    to = {"recipient_email": PERSON_MAIL} if channel == "email" else {"recipient_phone": PERSON_PHONE}
    id_ = insert(owner, channel, workspace_id=workspace, provider=provider, **to)
    started = await start(pool, Channel(channel), provider=provider, body=None)
    address = PERSON_MAIL if channel == "email" else PERSON_PHONE
    taken: dict[str, Any] = {
        "provider": provider,
        "address": address,
        "sender": sender,
        "provider_message_id": f"v-{id_}",
    }
    await settle(
        pool, [started.settlement(id_, Status.SENT, **taken)], [Ended(started.send_key, started.lease)], worker="test"
    )
    return id_


def said(provider: str, kind: Kind, channel: Channel, address: str, our_address: str, details: Any) -> Report:
    return Report(
        provider=provider,
        tenant_id=PROVIDER_WIDE,
        event_id=str(uuid4()),
        kind=kind,
        provider_message_id=str(uuid4()),
        channel=channel,
        address=address,
        our_address=our_address,
        details=details,
        body={},
    )


async def test_a_mail_is_of_the_workspace_whose_address_it_answers(ledger: Pool, owner: psycopg.Connection) -> None:
    mine, other = uuid4(), uuid4()
    id_ = await sent(ledger, owner, mine, "email", "resend", "Acme <Hello@acme.io>")
    await sent(ledger, owner, other, "email", "resend", "Bolt <hi@bolt.io>")

    await tell(ledger, said("resend", Kind.REPLIED, Channel.EMAIL, PERSON_MAIL, "hello@acme.io", {"text": "Re: Hello"}))

    (found,) = await replies.find(ledger, limit=9)
    assert (found.workspace_id, found.message_id) == (mine, id_)


async def test_a_call_to_a_tenants_number_is_that_tenants(ledger: Pool, owner: psycopg.Connection) -> None:
    """Another tenant called the person last, from a number of its own."""
    mine, other, ours = uuid4(), uuid4(), "+15005550099"
    owner.execute(NUMBER, (mine, ours, "vapi", "vapi-number"))
    await sent(ledger, owner, other, "voice", "vapi", "their-number")
    call = {"call_id": "c1", "direction": "inbound", "status": "completed", "transcript": "Hello", "our_number": ours}

    await tell(ledger, said("vapi", Kind.CALL_RECEIVED, Channel.VOICE, PERSON_PHONE, ours, {"call": call}))

    assert owner.execute("SELECT tenant_id FROM voice_call_records").fetchall() == [(mine,)]
    assert owner.execute("SELECT workspace_id, message_id FROM fleet.events").fetchall() == [(mine, None)]


async def test_vapis_numbers_are_known_by_their_ids(ledger: Pool, owner: psycopg.Connection) -> None:
    mine, other = uuid4(), uuid4()
    id_ = await sent(ledger, owner, mine, "voice", "vapi", "number-1")
    await sent(ledger, owner, other, "voice", "vapi", "number-2")
    call = {"call_id": "c1", "direction": "inbound", "status": "completed", "number_id": "number-1"}

    await tell(ledger, said("vapi", Kind.CALL_RECEIVED, Channel.VOICE, PERSON_PHONE, "+15005550001", {"call": call}))

    assert owner.execute("SELECT workspace_id, message_id FROM fleet.events").fetchall() == [(mine, id_)]


async def test_a_stop_to_a_tenants_number_is_that_tenants(ledger: Pool, owner: psycopg.Connection) -> None:
    mine, other, ours = uuid4(), uuid4(), "+15005550099"
    owner.execute(NUMBER, (mine, ours, "twilio", "PN1"))
    await sent(ledger, owner, other, "sms", "twilio", "+15005550006")

    done = await tell(ledger, said("twilio", Kind.STOPPED, Channel.SMS, PERSON_PHONE, ours, {"text": "STOP"}))

    assert done == events.Applied(1)
    assert owner.execute("SELECT workspace_id FROM fleet.suppressions").fetchall() == [(mine,)]
