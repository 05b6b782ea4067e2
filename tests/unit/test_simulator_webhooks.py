"""What the simulator's Resend and Vapi tell: every event of every end, signed, again by the vendor's own schedule."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Any

import pytest
import resend

from simulator.simulation import Options
from simulator.vapi_callbacks import VapiTelling
from tests.called_back import Api, Receiver, hook, opened, order, receiving, truth, until_counted

SECRET = "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0"
MAIL: dict[str, Any] = {
    "from": "Acme <hello@acme.io>",
    "to": ["ada@mail.io"],
    "subject": "Hello",
    "text": "Hello",
    "tags": [{"name": "message_id", "value": "m-1"}],
}
CALL: dict[str, Any] = {
    "name": "attempt",
    "assistantId": "assistant",
    "phoneNumberId": "number",
    "customer": {"number": "+14155550100", "externalId": "m-1"},
    "assistantOverrides": {"firstMessage": "Hello Ada."},
}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with opened(Options(settle_seconds=0.1, seed=7), Authorization="Bearer key") as client:
        yield client


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


async def post(api: Api, path: str, payload: Any) -> Any:
    async with api.post(path, json=payload) as answer:
        assert answer.status < 300, await answer.text()
        return await answer.json()


def verified(receiver: Receiver) -> list[Any]:
    """The events, each as the vendor's own library reads it."""
    named = {"id": "svix-id", "timestamp": "svix-timestamp", "signature": "svix-signature"}
    return [
        resend.Webhooks.verify(
            {
                "payload": body.decode(),
                "headers": {name: headers[header] for name, header in named.items()},  # type: ignore[typeddict-item]
                "webhook_secret": SECRET,
            }
        )
        for body, headers in zip(receiver.bodies, receiver.headers, strict=True)
    ]


@pytest.mark.parametrize(
    ("end", "events", "last_event"),
    [
        ("delivered", ["sent", "delivered"], "delivered"),
        ("opened", ["sent", "delivered", "opened"], "opened"),
        ("clicked", ["sent", "delivered", "opened", "clicked"], "clicked"),
        ("complained", ["sent", "delivered", "complained"], "complained"),
        ("bounced", ["sent", "bounced"], "bounced"),
        ("soft_bounced", ["sent", "delivery_delayed", "bounced"], "bounced"),
        ("suppressed", ["sent", "suppressed"], "suppressed"),
        ("undelivered", ["sent", "failed"], "failed"),
    ],
)
async def test_a_mail_is_told_of_until_its_end(
    api: Api, receiver: Receiver, end: str, events: list[str], last_event: str
) -> None:
    await order(api, **({} if end == "delivered" else {end: 1}))
    await hook(api, vendor="resend", url=receiver.url, secret=SECRET)
    mail_id = (await post(api, "/emails", MAIL))["id"]
    assert await until_counted(api, len(events)) == {"sent": len(events)}

    said = verified(receiver)
    assert [event["type"] for event in said] == [f"email.{name}" for name in events]
    assert {event["data"]["email_id"] for event in said} == {mail_id}
    assert said[-1]["data"]["tags"] == {"message_id": "m-1"}
    assert [event["created_at"] for event in said] == sorted(event["created_at"] for event in said)
    if last_event == "bounced":
        assert said[-1]["data"]["bounce"]["type"] == ("Permanent" if end == "bounced" else "Transient")
    async with api.get(f"/emails/{mail_id}") as answer:
        assert (await answer.json())["last_event"] == last_event
    assert await truth(api) == [
        {
            "vendor": "resend",
            "kind": "email",
            "account": hashlib.sha256(b"key").hexdigest()[:12],
            "id": mail_id,
            "message_id": "m-1",
            "end": end,
            "told": events,
        }
    ]


async def test_resend_comes_again_under_the_same_id_until_it_is_heard(api: Api, receiver: Receiver) -> None:
    await order(api, retry_factor=1e-5, doubled=1)
    await hook(api, vendor="resend", url=receiver.url, secret=SECRET)
    receiver.status = 503
    await post(api, "/emails", {**MAIL, "scheduled_at": "2026-01-01T00:00:00Z"})  # one event
    assert await until_counted(api, 2, "given_up") == {"doubled": 1, "failed": 16, "given_up": 2}
    assert {event["type"] for event in verified(receiver)} == {"email.scheduled"}
    assert len({headers["svix-id"] for headers in receiver.headers}) == 1

    receiver.status = 204
    await order(api, retry_factor=1e-5, failing_first=1)
    await post(api, "/emails", MAIL)
    counted = await until_counted(api, 2, "sent")
    assert (counted["sent"], counted["failed"]) == (2, 18)


async def test_each_account_has_its_own_hook(api: Api, receiver: Receiver) -> None:
    await order(api)
    await hook(api, vendor="resend", url=receiver.url, secret=SECRET, key="another key")
    await post(api, "/emails", MAIL)
    async with api.post("/emails", json=MAIL, headers={"Authorization": "Bearer another key"}) as answer:
        other = (await answer.json())["id"]
    await until_counted(api, 2)
    assert {event["data"]["email_id"] for event in verified(receiver)} == {other}
    async with api.get("/hooks") as answer:
        (shown,) = await answer.json()
    assert "secret" not in shown
    async with api.delete("/hooks") as answer:
        assert answer.status == 204


async def test_whoever_has_enough_presses_the_button_of_the_mail(api: Api, receiver: Receiver) -> None:
    await order(api, unsubscribed=1)
    await post(api, "/emails", MAIL)
    button = {"List-Unsubscribe": f"<mailto:x@acme.io>, <{receiver.url}>"}
    await post(api, "/emails", {**MAIL, "headers": button})
    one_click = {**button, "list-unsubscribe-post": "List-Unsubscribe=One-Click"}
    await post(api, "/emails", {**MAIL, "headers": one_click})
    await until_counted(api, 1)
    assert receiver.forms == [{"List-Unsubscribe": "One-Click"}]
    ends = [(line["end"], line["told"]) for line in await truth(api)]
    assert ends == [("delivered", []), ("delivered", []), ("unsubscribed", ["one-click"])]


@pytest.mark.parametrize(
    ("end", "kinds", "reason"),
    [
        ("delivered", ["ringing", "in-progress", "ended", "end-of-call-report"], "customer-ended-call"),
        ("no_answer", ["ringing", "ended", "end-of-call-report"], "customer-did-not-answer"),
        ("undelivered", ["ended", "end-of-call-report"], "twilio-failed-to-connect-call"),
    ],
)
async def test_a_call_is_told_of_until_its_report(
    api: Api, receiver: Receiver, end: str, kinds: list[str], reason: str
) -> None:
    await order(api, **({} if end == "delivered" else {end: 1}))
    await hook(api, vendor="vapi", url=receiver.url, secret="open sesame")
    call_id = (await post(api, "/call", CALL))["id"]
    await until_counted(api, len(kinds))

    said = [one["message"] for one in receiver.said]
    assert [one.get("status") or one["type"] for one in said] == kinds
    assert {one["call"]["id"] for one in said} == {call_id}
    assert said[-1]["endedReason"] == said[-2]["endedReason"] == reason
    assert ("Hello Ada." in said[-1]["artifact"]["transcript"]) == (end == "delivered")
    assert {headers["X-Vapi-Secret"] for headers in receiver.headers} == {"open sesame"}
    async with api.get(f"/call/{call_id}") as answer:
        shown = await answer.json()
    assert (shown["status"], shown["endedReason"]) == ("ended", reason)
    assert [(line["end"], line["told"], line["message_id"]) for line in await truth(api)] == [(end, kinds, "m-1")]


@pytest.mark.parametrize("credential", [{}, {"credentialId": "c-1"}])
async def test_a_calls_own_server_comes_first_and_names_what_it_wants(
    api: Api, receiver: Receiver, credential: dict[str, str]
) -> None:
    await order(api)
    await hook(api, vendor="vapi", url="https://elsewhere.acme.io/", secret="open sesame", scheme="hmac")
    server = {"url": f"{receiver.url}?attempt=a-1", "headers": {"x-mine": "yes"}, **credential}
    overrides = {"server": server, "serverMessages": ["end-of-call-report"]}
    await post(api, "/call", {**CALL, "assistantOverrides": overrides})
    await until_counted(api, 1)

    (body,), (headers,) = receiver.bodies, receiver.headers
    assert receiver.said[0]["message"]["type"] == "end-of-call-report"
    assert headers["x-mine"] == "yes"
    text = f"{headers.get('x-timestamp')}.".encode() + body
    signature = hmac.new(b"open sesame", text, hashlib.sha256).hexdigest()
    assert headers.get("x-signature") == (signature if credential else None)


async def test_without_a_server_and_a_hook_nobody_is_called(api: Api) -> None:
    await order(api)
    await post(api, "/call", CALL)
    await post(api, "/emails", MAIL)
    assert await until_counted(api, 0) == {}


@pytest.mark.parametrize(
    ("plan", "waits"),
    [
        (None, [None]),
        ({"type": "fixed", "maxRetries": 2, "baseDelaySeconds": 3}, [3, 3, None]),
        ({"type": "exponential", "maxRetries": 3, "baseDelaySeconds": 1}, [1, 2, 4, None]),
        ({"type": "fixed", "maxRetries": 2, "baseDelaySeconds": 3, "excludedStatusCodes": [503]}, [None]),
    ],
)
def test_vapi_comes_again_as_the_plan_says(plan: Any, waits: list[float | None]) -> None:
    server = {} if plan is None else {"backoffPlan": plan}
    telling = VapiTelling(vendor="vapi", kind="ended", url="", about=b"", server=server, hook=None, said=dict)
    assert [telling.wait_seconds(tries, 503, 0) for tries in range(1, len(waits) + 1)] == waits


async def test_somebody_calls_and_somebody_writes(api: Api, receiver: Receiver) -> None:
    await hook(api, vendor="vapi", url=receiver.url, secret="open sesame")
    called = await post(api, "/inbound", {"vendor": "vapi", "from": "+14155550100", "to": "number-1"})
    await until_counted(api, 1)
    (heard,) = receiver.said
    call = heard["message"]["call"]
    assert (call["id"], call["type"], call["phoneNumberId"]) == (called["id"], "inboundPhoneCall", "number-1")
    assert heard["message"]["customer"] == {"number": "+14155550100"}

    receiver.bodies.clear()
    receiver.headers.clear()
    await hook(api, vendor="resend", url=receiver.url, secret=SECRET)
    written = {"vendor": "resend", "from": "ada@mail.io", "to": "help@acme.io", "body": "Re: Hello"}
    mail = await post(api, "/inbound", written)
    await until_counted(api, 2)
    (event,) = verified(receiver)
    assert (event["type"], event["data"]["email_id"], event["data"]["subject"]) == (
        "email.received",
        mail["id"],
        "Re: Hello",
    )
