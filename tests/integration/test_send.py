"""A bundle on its way: from the claim to the vendor's answer in the ledger, against the real simulator."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest

from config.channels import Channel
from tests.factories import attempts_of, column_of, insert, status_of, travel
from tests.integration.conftest import Open, Vendors, deliver, end_of_pauses
from workers.lease import Lease
from workers.runtime import Runtime


async def test_each_channel_arrives_once_with_the_vendors_answer(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    email, sms = insert(owner), insert(owner, "sms")
    vapi = insert(owner, "voice")
    twilio = insert(owner, "voice", provider="twilio", payload={"say": "Hello"}, recipient_phone="+14155550111")

    for channel in (Channel.EMAIL, Channel.SMS, Channel.VOICE):
        await deliver(worker, channel)

    accepted = {one["id"]: one for one in await vendors.accepted()}
    assert len(accepted) == 4
    for id_, vendor in ((email, "resend"), (sms, "twilio"), (vapi, "vapi"), (twilio, "twilio")):
        assert status_of(owner, id_) == "sent"
        assert accepted[column_of(owner, id_, "provider_message_id")]["vendor"] == vendor
        assert column_of(owner, id_, "provider_response")
        assert column_of(owner, id_, "sender")
        assert attempts_of(owner, id_) == [(1, "accepted", True)]


async def test_a_bundle_of_mails_is_one_request(worker: Runtime, vendors: Vendors, owner: psycopg.Connection) -> None:
    for number in range(100):
        insert(owner, recipient_email=f"delivered+{number}@resend.dev")

    await deliver(worker)

    counts = (await vendors.stats())["resend"]
    assert (counts["requests"], counts["accepted"], counts["duplicates"]) == (1, 100, 0)
    assert owner.execute("SELECT DISTINCT status FROM channel_outbox").fetchall() == [("sent",)]


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("email", {"payload": {"html": "x"}}, "missing_subject"),
    ("email", {"payload": {"subject": "x"}}, "missing_body"),
    ("email", {"payload": {"subject": "a\r\nBcc: x@y.z", "text": "x"}}, "invalid_subject"),
    ("email", {"payload": None}, "missing_payload"),
    ("email", {"payload": [1, 2]}, "invalid_payload"),
    ("email", {"recipient_email": None}, "missing_recipient"),
    ("email", {"recipient_email": "nobody at all"}, "invalid_email"),
    ("email", {"provider": "pigeon"}, "unknown_provider"),
    ("email", {"provider": "twilio"}, "wrong_provider"),
    ("email", {"workspace_id": None}, "no_workspace"),
    ("email", {"payload": {"subject": "x", "html": "y" * 1_100_000}}, "payload_too_large"),
    ("email", {"recipient_email": "someone@example.com"}, "validation_error"),
    ("sms", {"payload": {"body": ""}}, "missing_body"),
    ("sms", {"payload": {"body": "x" * 1601}}, "body_too_long"),
    ("sms", {"recipient_phone": "12345"}, "invalid_phone"),
    ("sms", {"recipient_phone": "+15005550001"}, "21211"),
    ("voice", {"payload": {"say": ""}, "provider": "twilio"}, "missing_say"),
    ("voice", {"payload": {"first_message": 5}}, "invalid_first_message"),
]


@pytest.mark.parametrize(("channel", "columns", "code"), BAD, ids=[case[2] for case in BAD])
async def test_bad_input_ends_with_a_code_and_a_sentence_and_stops_nobody(
    worker: Runtime, owner: psycopg.Connection, channel: str, columns: dict[str, Any], code: str
) -> None:
    bad, fine = insert(owner, channel, **columns), insert(owner, channel)

    await deliver(worker, Channel(channel))

    assert status_of(owner, fine) == "sent"
    assert (status_of(owner, bad), column_of(owner, bad, "error_class")) == ("failed", "rejected")
    assert column_of(owner, bad, "error_code") == code
    assert len(column_of(owner, bad, "error_message")) > 15
    assert column_of(owner, bad, "finalized_at") is not None


async def test_429_waits_as_long_as_told_and_spends_no_attempt(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, redis_url: str
) -> None:
    id_ = insert(owner, "sms")
    await vendors.fault(vendor="twilio", kind="too_many", count=1, seconds=3)

    await deliver(worker, Channel.SMS)

    assert status_of(owner, id_) == "scheduled"
    assert attempts_of(owner, id_) == [(1, "later", False)]
    travel(owner, 30)
    end_of_pauses(worker, redis_url)
    await deliver(worker, Channel.SMS)
    assert status_of(owner, id_) == "sent"


async def test_an_unknown_outcome_of_a_vendor_without_keys_is_not_sent_again(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    id_ = insert(owner, "sms")
    await vendors.fault(vendor="twilio", kind="accept_then_drop", count=1)

    await deliver(worker, Channel.SMS)
    travel(owner, 100_000)
    await deliver(worker, Channel.SMS)

    assert status_of(owner, id_) == "unknown"
    assert len(await vendors.accepted()) == 1


async def test_a_request_does_not_begin_when_its_lease_is_nearly_over(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = insert(owner)
    moments = iter([0.0])
    monkeypatch.setattr(Runtime, "new_lease", lambda _: Lease(60, 2, clock=lambda: next(moments, 44.0)))

    await deliver(worker)

    assert (status_of(owner, id_), column_of(owner, id_, "error_code")) == ("scheduled", "withheld")
    assert attempts_of(owner, id_) == [(1, "later", False)]
    assert (await vendors.stats())["resend"]["requests"] == 0


async def test_a_mail_with_an_attachment_travels_alone(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    attachment = {"filename": "a.txt", "content": "SGVsbG8="}
    for number in range(4):
        payload = {"subject": "Hello", "text": "Hello", **({"attachments": [attachment]} if number == 2 else {})}
        insert(owner, payload=payload, recipient_email=f"delivered+{number}@resend.dev")

    await deliver(worker)

    counts = (await vendors.stats())["resend"]
    assert (counts["requests"], counts["accepted"]) == (2, 4)


async def test_tenants_with_settings_of_their_own_never_share_a_request(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    own, broken, none = uuid4(), uuid4(), uuid4()
    for tenant, connected, key in ((own, True, "re_own"), (broken, False, "re_broken")):
        owner.execute(
            "INSERT INTO ai_settings_resend (tenant_id, api_key_encrypted, from_email, is_connected) "
            "VALUES (%s, %s, 'own@tenant.dev', %s)",
            (tenant, key, connected),
        )
    messages = {tenant: insert(owner, workspace_id=tenant) for tenant in (own, broken, none)}

    await deliver(worker)

    accounts = {one["id"]: one["account"] for one in await vendors.accepted()}
    sent = {tenant: column_of(owner, messages[tenant], "provider_message_id") for tenant in (own, none)}
    assert accounts[sent[own]] != accounts[sent[none]]
    assert len(accounts) == 2
    assert (status_of(owner, messages[broken]), column_of(owner, messages[broken], "error_code")) == (
        "scheduled",
        "not_connected",
    )
    assert column_of(owner, messages[own], "sender") == "own@tenant.dev"


async def test_a_refused_key_halts_its_account_and_spends_no_attempt(
    open_worker: Open, vendors: Vendors, owner: psycopg.Connection
) -> None:
    worker = await open_worker(RESEND_API_KEY="revoked_key", RESEND_FROM_EMAIL="us@fleet.dev")
    first = insert(owner)
    await deliver(worker)
    second = insert(owner)
    await deliver(worker)

    for id_ in (first, second):
        assert status_of(owner, id_) == "scheduled"
        assert column_of(owner, id_, "error_message")
    assert attempts_of(owner, first) == [(1, "halted", False)]
    assert attempts_of(owner, second) == []
    halted = owner.execute("SELECT provider, halted_until > now() FROM fleet.accounts").fetchall()
    assert halted == [("resend", True)]
    assert (await vendors.stats())["resend"]["requests"] == 1


async def test_an_outage_of_the_network_spends_no_attempt(
    open_worker: Open, vendors: Vendors, owner: psycopg.Connection
) -> None:
    environment = {"FLEET_RETRY_MAX_ATTEMPTS": "2", "FLEET_RETRY_BASE_SECONDS": "1"}
    away = await open_worker(**environment, TWILIO_API_URL="http://127.0.0.1:9")
    id_ = insert(owner, "sms")

    for seconds in (0, 60, 120):
        travel(owner, seconds)
        await deliver(away, Channel.SMS)
        assert (status_of(owner, id_), column_of(owner, id_, "error_code")) == ("scheduled", "not_connected")

    assert attempts_of(owner, id_) == [(number, "later", False) for number in (1, 2, 3)]
    travel(owner, 180)
    await deliver(await open_worker(**environment), Channel.SMS)
    assert status_of(owner, id_) == "sent"


async def test_a_sender_that_one_tenant_may_not_use_stops_nobody_else_and_is_named_to_nobody_else(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    stranger = {"subject": "x", "text": "x", "from": "us@unverified.customer.io"}
    fine, offending = insert(owner), [insert(owner, payload=stranger) for _ in range(2)]

    await deliver(worker)
    travel(owner, 30)
    await deliver(worker)

    assert status_of(owner, fine) == "sent"
    for id_ in offending:
        assert (status_of(owner, id_), column_of(owner, id_, "error_code")) == ("failed", "validation_error")
    assert owner.execute("SELECT count(*) FROM fleet.accounts").fetchone() == (0,)
    assert attempts_of(owner, fine) == [(1, "accepted", True)]


async def test_a_copy_of_production_sends_only_to_whom_it_may(open_worker: Open, owner: psycopg.Connection) -> None:
    worker = await open_worker(FLEET_ALLOWED_RECIPIENTS="@resend.dev, me@ours.dev")
    ours, theirs = insert(owner), insert(owner, recipient_email="customer@mail.dev")

    await deliver(worker)

    assert (status_of(owner, ours), status_of(owner, theirs)) == ("sent", "failed")
    assert column_of(owner, theirs, "error_code") == "not_allowed_here"
