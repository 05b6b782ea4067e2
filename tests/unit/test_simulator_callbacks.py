"""The simulator's callbacks: to loopback alone, when ordered; late, doubled, failing, lost; for sends of lost answers.

Tried with Twilio's; what the other vendors say stands in `test_simulator_webhooks`.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import orjson
import pytest
from aiohttp import ClientError, encode_basic_auth
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from simulator.simulation import Options
from tests.called_back import Api, Receiver, counts, opened, order, receiving, truth, until_counted

SID, TOKEN = "AC" + "a" * 32, "token"
HEADERS = {"Authorization": encode_basic_auth(SID, TOKEN)}
MESSAGE = {"To": "+14155550100", "From": "+15005550006", "Body": "Hello"}
CALL = {"To": "+14155550100", "From": "+15005550006", "Twiml": "<Response/>"}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with opened(Options(settle_seconds=0.2, seed=7)) as client:
        yield client


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        one.url += "?attempt=1&message=2#rc=5&rp=all"
        yield one


def statuses(receiver: Receiver) -> list[str]:
    return [
        said.get("MessageStatus") or said.get("CallStatus") or said.get("AnsweredBy") or "" for said in receiver.forms
    ]


def all_signed(receiver: Receiver) -> bool:
    url, validator = receiver.url.partition("#")[0], RequestValidator(TOKEN)
    return all(
        validator.validate(url, form, headers["X-Twilio-Signature"])
        for form, headers in zip(receiver.forms, receiver.headers, strict=True)
    )


async def create(api: Api, kind: str, **form: Any) -> int:
    async with api.post(f"/2010-04-01/Accounts/{SID}/{kind}.json", data=form, headers=HEADERS) as answer:
        await answer.read()
        return answer.status


async def test_none_goes_out_unless_ordered(api: Api, receiver: Receiver) -> None:
    assert await create(api, "Messages", **MESSAGE, StatusCallback=receiver.url) == 201
    assert await counts(api) == {}
    assert receiver.forms == []


async def test_a_message_and_a_call_are_told_from_their_beginning_to_their_end(api: Api, receiver: Receiver) -> None:
    await order(api)
    await create(api, "Messages", **MESSAGE, StatusCallback=receiver.url)
    assert await until_counted(api, 2) == {"sent": 2}
    await create(api, "Calls", **CALL, StatusCallback=receiver.url, StatusCallbackEvent=["initiated", "completed"])
    assert await until_counted(api, 4) == {"sent": 4}
    await create(api, "Calls", **CALL, StatusCallback=receiver.url)
    assert await until_counted(api, 5) == {"sent": 5}

    assert statuses(receiver) == ["sent", "delivered", "initiated", "completed", "completed"]
    assert all_signed(receiver)


async def test_a_send_whose_answer_is_lost_is_told_of(api: Api, receiver: Receiver) -> None:
    await order(api)
    async with api.post("/faults", json={"vendor": "twilio", "kind": "accept_then_drop", "count": 1}) as answer:
        assert answer.status == 201
    with suppress(ClientError):
        await create(api, "Messages", **MESSAGE, StatusCallback=receiver.url)
    await until_counted(api, 2)
    assert statuses(receiver) == ["sent", "delivered"]
    assert [line["told"] for line in await truth(api)] == [["sent", "delivered"]]


@pytest.mark.parametrize(
    ("asked", "heard", "counted"),
    [
        ({"doubled": 1}, ["sent", "sent", "delivered", "delivered"], {"sent": 4, "doubled": 2}),
        ({"lost": 1}, [], {"lost": 2}),
        ({"undelivered": 1}, ["sent", "undelivered"], {"sent": 2}),
        ({"delay_seconds": 0.05}, ["sent", "delivered"], {"sent": 2}),
        ({"failing_first": 1}, ["sent", "delivered"], {"sent": 2, "failed": 2}),
    ],
)
async def test_an_order_is_carried_out(
    api: Api, receiver: Receiver, asked: dict[str, float], heard: list[str], counted: dict[str, int]
) -> None:
    await order(api, **asked)
    await create(api, "Messages", **MESSAGE, StatusCallback=receiver.url)
    assert await until_counted(api, len(heard) or 2) == counted
    assert statuses(receiver) == heard


async def test_a_spread_shuffles_and_an_order_for_another_vendor_changes_nothing(api: Api, receiver: Receiver) -> None:
    await order(api, spread_seconds=1)
    await order(api, vendor="vapi", lost=1)
    for number in range(10):
        await create(api, "Messages", **{**MESSAGE, "To": f"+1415555010{number}"}, StatusCallback=receiver.url)
    await until_counted(api, 20)
    assert sorted(statuses(receiver)) == ["delivered"] * 10 + ["sent"] * 10
    told = [said["To"] for said in receiver.forms if said["MessageStatus"] == "sent"]
    assert told != sorted(told)


async def test_only_loopback_is_called(api: Api, receiver: Receiver) -> None:
    await order(api)
    await create(api, "Messages", **MESSAGE, StatusCallback="https://fleet.acme.io/hook")
    assert await until_counted(api, 2) == {"refused": 2}
    assert receiver.forms == []


@pytest.mark.parametrize(
    ("fragment", "status", "tries"),
    [
        ("#rc=2&rp=all", 503, 3),
        ("#rc=2&rp=5xx", 404, 1),
        ("#rc=2&rp=4xx,5xx", 404, 3),
        ("", 503, 1),
        ("#rc=5&rp=all&tt=0", 503, 1),
    ],
)
async def test_what_is_refused_comes_again_as_the_fragment_asks(
    api: Api, receiver: Receiver, fragment: str, status: int, tries: int
) -> None:
    await order(api)
    receiver.status = status
    url = receiver.url.partition("#")[0] + fragment
    await create(api, "Messages", **MESSAGE, StatusCallback=url)
    assert await until_counted(api, 2, "given_up") == {"failed": 2 * tries, "given_up": 2}
    assert len(receiver.forms) == 2 * tries
    assert [line["told"] for line in await truth(api)] == [[]]


@pytest.mark.parametrize(
    ("kind", "share", "status", "code"),
    [
        ("Messages", "bounced", "undelivered", 30005),
        ("Messages", "soft_bounced", "undelivered", 30003),
        ("Messages", "undelivered", "undelivered", 30007),
        ("Calls", "no_answer", "no-answer", None),
        ("Calls", "undelivered", "failed", None),
    ],
)
async def test_look_ups_callbacks_and_the_truth_agree_on_the_end(
    api: Api, receiver: Receiver, kind: str, share: str, status: str, code: int | None
) -> None:
    await order(api, **{share: 1})
    await create(api, kind, **(MESSAGE if kind == "Messages" else CALL), StatusCallback=receiver.url)
    await until_counted(api, 2 if kind == "Messages" else 1)
    (line,) = await truth(api)
    async with api.get(f"/2010-04-01/Accounts/{SID}/{kind}/{line['id']}.json", headers=HEADERS) as answer:
        shown = await answer.json()
    assert (shown["status"], shown.get("error_code")) == (status, code)
    assert statuses(receiver)[-1] == status == line["told"][-1]
    assert (line["end"], line["message_id"]) == (share, "2")


async def test_ends_are_drawn_whether_or_not_anybody_is_called(api: Api) -> None:
    await order(api, on=False, undelivered=1)
    await create(api, "Messages", **MESSAGE)
    assert [(line["end"], line["told"]) for line in await truth(api)] == [("undelivered", [])]
    assert await counts(api) == {}


async def test_with_a_seed_the_same_sends_meet_the_same_ends_in_any_order() -> None:
    async def ends(recipients: list[str]) -> dict[str, str]:
        async with opened(Options(seed=7)) as api:
            await order(api, on=False, undelivered=0.3, bounced=0.3)
            for to in recipients:
                await create(api, "Messages", **{**MESSAGE, "To": to})
            async with api.get("/stats/accepted") as answer:
                ids = {line["id"]: line["recipient"] for line in map(orjson.loads, (await answer.text()).splitlines())}
            return {ids[line["id"]]: line["end"] for line in await truth(api)}

    recipients = [f"+141555501{number:02}" for number in range(30)]
    first, second = await ends(recipients), await ends(recipients[::-1])
    assert first == second
    assert set(first.values()) == {"delivered", "undelivered", "bounced"}


async def test_whoever_answered_is_told_of_aside(api: Api, receiver: Receiver) -> None:
    await order(api)
    asked = {"MachineDetection": "DetectMessageEnd", "AsyncAmd": "true", "AsyncAmdStatusCallback": receiver.url}
    await create(api, "Calls", **CALL, **asked)
    await until_counted(api, 1)
    assert statuses(receiver) == ["machine_end_beep"]
    assert all_signed(receiver)


async def test_a_reply_is_told_of_and_stop_is_obeyed_until_start(api: Api, receiver: Receiver) -> None:
    assert await create(api, "Messages", **MESSAGE) == 201
    said = {"vendor": "twilio", "from": MESSAGE["To"], "to": MESSAGE["From"], "url": receiver.url}
    async with api.post("/inbound", json={**said, "body": " stop "}) as answer:
        assert answer.status == 202
    assert await create(api, "Messages", **MESSAGE) == 400
    assert await create(api, "Messages", **{**MESSAGE, "To": "+14155550101"}) == 201
    async with api.post("/inbound", json={**said, "body": "START", "service": "MG" + "b" * 32}) as answer:
        assert answer.status == 202
    assert await create(api, "Messages", **MESSAGE) == 201

    await until_counted(api, 2)
    bodies = {said["Body"]: said for said in receiver.forms}
    assert bodies[" stop "]["From"] == MESSAGE["To"]
    assert "OptOutType" not in bodies[" stop "]
    assert bodies["START"]["OptOutType"] == "START"
    assert all_signed(receiver)


async def test_a_recipient_who_has_enough_answers_stop(api: Api, receiver: Receiver) -> None:
    await order(api, unsubscribed=1)
    await create(api, "Messages", **MESSAGE)
    assert [line["end"] for line in await truth(api)] == ["delivered"]  # nobody would hear of it
    async with api.post("/hooks", json={"vendor": "twilio", "url": receiver.url}) as answer:
        assert answer.status == 201
    await create(api, "Messages", **{**MESSAGE, "To": "+14155550101"})
    await until_counted(api, 1)
    assert [(said["From"], said["Body"]) for said in receiver.forms] == [("+14155550101", "STOP")]
    assert [line["told"] for line in await truth(api)] == [[], ["inbound"]]


async def test_what_waits_is_dropped_when_all_is_forgotten(api: Api, receiver: Receiver) -> None:
    await order(api, delay_seconds=0.1)
    await create(api, "Messages", **MESSAGE, StatusCallback=receiver.url)
    async with api.delete("/stats") as answer:
        assert answer.status == 204
    await create(api, "Messages", **{**MESSAGE, "To": "+14155550101"}, StatusCallback=receiver.url)
    assert await until_counted(api, 2) == {"sent": 2}
    assert {said["To"] for said in receiver.forms} == {"+14155550101"}


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"often": 1},
        {"lost": 2},
        {"lost": True},
        {"delay_seconds": -1},
        {"doubled": "1"},
        {"vendor": "linkedin"},
        {"bounced": 0.6, "complained": 0.6},
    ],
)
async def test_an_order_that_cannot_be_meant_is_refused(api: Api, wrong: Any) -> None:
    async with api.post("/callbacks", json=wrong) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/hooks", []),
        ("/hooks", {"vendor": "twilio"}),
        ("/hooks", {"vendor": "linkedin", "url": "http://127.0.0.1/"}),
        ("/hooks", {"vendor": "vapi", "url": "http://127.0.0.1/", "scheme": "rot13"}),
        ("/hooks", {"vendor": "vapi", "url": 7}),
        ("/inbound", {"vendor": "twilio", "from": "+14155550100"}),
        ("/inbound", {"vendor": "linkedin", "from": "a", "to": "b"}),
        ("/inbound", {"vendor": "twilio", "from": "+14155550100", "to": "+14155550101"}),
        ("/inbound", {"vendor": "resend", "from": "ada@mail.io", "to": "help@acme.io"}),
    ],
)
async def test_a_command_that_cannot_be_meant_is_refused(api: Api, path: str, wrong: Any) -> None:
    async with api.post(path, json=wrong) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]
