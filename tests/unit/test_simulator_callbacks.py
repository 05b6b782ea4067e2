"""The simulator's callbacks: to loopback alone, when ordered; late, doubled, lost; for sends whose answer was lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientError, encode_basic_auth, web
from aiohttp.test_utils import TestClient, TestServer
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from simulator.app import create_app
from simulator.simulation import Options
from tests.vendors import PATIENT_SECONDS

Api = TestClient[web.Request, web.Application]

SID, TOKEN = "AC" + "a" * 32, "token"
HEADERS = {"Authorization": encode_basic_auth(SID, TOKEN)}
MESSAGE = {"To": "+14155550100", "From": "+15005550006", "Body": "Hello"}
CALL = {"To": "+14155550100", "From": "+15005550006", "Twiml": "<Response/>"}


@dataclass
class Receiver:
    """Whoever sent the message, as it hears of it."""

    url: str = ""
    status: int = 204
    heard: list[dict[str, str]] = field(default_factory=list)
    signed: list[bool] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.Response:
        said = {name: str(value) for name, value in (await request.post()).items()}
        url = self.url.partition("#")[0]
        self.signed.append(RequestValidator(TOKEN).validate(url, said, request.headers["X-Twilio-Signature"]))
        self.heard.append(said)
        return web.Response(status=self.status)

    @property
    def statuses(self) -> list[str]:
        return [said.get("MessageStatus") or said.get("CallStatus") or "" for said in self.heard]


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with TestClient(TestServer(create_app(Options(settle_seconds=0.2)))) as client:
        yield client


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    one = Receiver()
    app = web.Application()
    app.router.add_post("/hook", one.receive)
    async with TestServer(app) as server:
        one.url = f"{server.make_url('/hook')}?attempt=1&message=2#rc=5&rp=all"
        yield one


async def order(api: Api, **order: Any) -> None:
    async with api.post("/callbacks", json=order) as answer:
        assert answer.status == 200, await answer.text()


async def create(api: Api, kind: str, **form: Any) -> int:
    async with api.post(f"/2010-04-01/Accounts/{SID}/{kind}.json", data=form, headers=HEADERS) as answer:
        await answer.read()
        return answer.status


async def counts(api: Api) -> Any:
    async with api.get("/callbacks") as answer:
        return (await answer.json())["counts"]


async def until_counted(api: Api, total: int) -> Any:
    async with asyncio.timeout(PATIENT_SECONDS):
        while True:
            found = await counts(api)
            if sum(number for name, number in found.items() if name != "doubled") >= total:
                return found
            await asyncio.sleep(0.01)


async def test_none_goes_out_unless_ordered(api: Api, receiver: Receiver) -> None:
    assert await create(api, "Messages", **MESSAGE, StatusCallback=receiver.url) == 201
    assert await counts(api) == {}
    assert receiver.heard == []


async def test_a_message_and_a_call_are_told_from_their_beginning_to_their_end(api: Api, receiver: Receiver) -> None:
    await order(api)
    await create(api, "Messages", **MESSAGE, StatusCallback=receiver.url)
    assert await until_counted(api, 2) == {"sent": 2}
    await create(api, "Calls", **CALL, StatusCallback=receiver.url, StatusCallbackEvent=["initiated", "completed"])
    assert await until_counted(api, 4) == {"sent": 4}
    await create(api, "Calls", **CALL, StatusCallback=receiver.url)
    assert await until_counted(api, 5) == {"sent": 5}

    assert receiver.statuses == ["sent", "delivered", "initiated", "completed", "completed"]
    assert all(receiver.signed)


async def test_a_send_whose_answer_is_lost_is_told_of(api: Api, receiver: Receiver) -> None:
    await order(api)
    async with api.post("/faults", json={"vendor": "twilio", "kind": "accept_then_drop", "count": 1}) as answer:
        assert answer.status == 201
    with suppress(ClientError):
        await create(api, "Messages", **MESSAGE, StatusCallback=receiver.url)
    await until_counted(api, 2)
    assert receiver.statuses == ["sent", "delivered"]


@pytest.mark.parametrize(
    ("asked", "statuses", "counted"),
    [
        ({"doubled": 1}, ["sent", "sent", "delivered", "delivered"], {"sent": 4, "doubled": 2}),
        ({"lost": 1}, [], {"lost": 2}),
        ({"undelivered": 1}, ["sent", "undelivered"], {"sent": 2}),
        ({"delay_seconds": 0.05}, ["sent", "delivered"], {"sent": 2}),
    ],
)
async def test_an_order_is_carried_out(
    api: Api, receiver: Receiver, asked: dict[str, float], statuses: list[str], counted: dict[str, int]
) -> None:
    await order(api, **asked)
    await create(api, "Messages", **MESSAGE, StatusCallback=receiver.url)
    assert await until_counted(api, len(statuses) or 2) == counted
    assert receiver.statuses == statuses


async def test_only_loopback_is_called_and_what_is_refused_is_not_tried_again(api: Api, receiver: Receiver) -> None:
    await order(api)
    await create(api, "Messages", **MESSAGE, StatusCallback="https://fleet.acme.io/hook")
    assert await until_counted(api, 2) == {"refused": 2}
    receiver.status = 503
    await create(api, "Messages", **MESSAGE, StatusCallback=receiver.url)
    assert await until_counted(api, 4) == {"refused": 2, "failed": 2}
    assert len(receiver.heard) == 2


@pytest.mark.parametrize(
    "wrong", [[], {"often": 1}, {"lost": 2}, {"lost": True}, {"delay_seconds": -1}, {"doubled": "1"}]
)
async def test_an_order_that_cannot_be_meant_is_refused(api: Api, wrong: Any) -> None:
    async with api.post("/callbacks", json=wrong) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]
