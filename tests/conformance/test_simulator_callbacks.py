"""What the simulator tells of sends, against the vendors' OpenAPI files: Resend's webhooks, Vapi's server messages.

Twilio's file describes no callbacks; their fields stand in its pages, and are tried in the unit tests.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from simulator.ends import SHARES
from simulator.simulation import Options
from tests.called_back import Api, Receiver, hook, opened, order, receiving, until_counted
from tests.conformance.openapi import Spec, needs_specs

MAIL: dict[str, Any] = {
    "from": "Acme <hello@acme.io>",
    "to": ["ada@mail.io"],
    "subject": "Hello",
    "html": "<p>Hello</p>",
    "headers": {"X-Campaign": "spring"},
    "tags": [{"name": "message_id", "value": "0b9d"}],
}
CALL: dict[str, Any] = {
    "name": "0b9d",
    "assistantId": "assistant",
    "phoneNumberId": "number",
    "customer": {"number": "+14155550100", "externalId": "m-1"},
    "assistantOverrides": {"firstMessage": "Hello Ada.", "metadata": {"a": 1}},
}
SERVER_MESSAGES = {
    "status-update": "ServerMessageStatusUpdate",
    "end-of-call-report": "ServerMessageEndOfCallReport",
}

pytestmark = needs_specs


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with opened(Options(settle_seconds=0), Authorization="Bearer key") as client:
        yield client


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


async def tell_all(api: Api, receiver: Receiver, vendor: str, path: str, payload: Any, kind: str) -> None:
    """Let one send of each end be told of, and one thing come in."""
    await hook(api, vendor=vendor, url=receiver.url, secret="whsec_c2VjcmV0")
    for end in (None, *SHARES[kind]):
        await order(api, **({end: 1} if end else {}))
        async with api.post(path, json=payload) as answer:
            assert answer.status < 300
    await order(api)
    async with api.post("/inbound", json={"vendor": vendor, "from": "+14155550100", "to": "+14155550101"}) as answer:
        assert answer.status == 202


async def test_every_event_of_a_mail_is_valid(api: Api, receiver: Receiver) -> None:
    await tell_all(api, receiver, "resend", "/emails", MAIL, "email")
    await until_counted(api, 21)
    spec = Spec.of("resend")
    kinds = {event["type"] for event in receiver.said}
    assert len(kinds) == 10
    assert [error for event in receiver.said for error in spec.webhook_errors(event["type"], event)] == []


async def test_every_server_message_of_a_call_is_valid(api: Api, receiver: Receiver) -> None:
    await tell_all(api, receiver, "vapi", "/call", CALL, "call")
    await until_counted(api, 10)
    spec = Spec.of("vapi")
    said = [one["message"] for one in receiver.said]
    assert {one["type"] for one in said} == set(SERVER_MESSAGES)
    assert [error for one in said for error in spec.component_errors(SERVER_MESSAGES[one["type"]], one)] == []


@pytest.mark.parametrize("end", SHARES["call"])
async def test_a_call_of_every_end_is_shown_as_the_file_says(api: Api, end: str) -> None:
    await order(api, **{end: 1})
    async with api.post("/call", json=CALL) as answer:
        call = await answer.json()
    async with api.get(f"/call/{call['id']}") as answer:
        assert Spec.of("vapi").response_errors("GET", f"/call/{call['id']}", 200, await answer.json()) == []
