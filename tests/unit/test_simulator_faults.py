"""Ordered faults: how an order is read, how often it strikes, and what it does to a connection and to the ledger."""

from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import pytest
from aiohttp import ClientError, encode_basic_auth, web
from aiohttp.test_utils import TestClient, TestServer

from simulator.app import create_app
from simulator.faults import KINDS, Fault, Faults, Moment
from simulator.marks import CODES, REJECTED, Marks, mark_of
from simulator.simulation import Options

Api = TestClient[web.Request, web.Application]

MAIL = {"from": "hello@acme.io", "to": "ada@mail.io", "subject": "Hello", "text": "Hello"}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with TestClient(TestServer(create_app()), headers={"Authorization": "Bearer re_acme"}) as client:
        yield client


async def order(api: Api, **fault: Any) -> None:
    async with api.post("/faults", json={"vendor": "resend", **fault}) as response:
        assert response.status == 201, await response.text()


async def send(api: Api, to: str = "ada@mail.io") -> int:
    async with api.post("/emails", json={**MAIL, "to": to}) as response:
        await response.read()
        return response.status


async def stats(api: Api) -> Any:
    async with api.get("/stats") as response:
        return (await response.json())["resend"]


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"vendor": "resend", "kind": "drop"},
        {"vendor": "resend", "kind": "drop", "count": 1, "often": 1},
        {"vendor": "sendgrid", "kind": "drop", "count": 1},
        {"vendor": "resend", "kind": "explode", "count": 1},
        {"vendor": "resend", "kind": "drop", "rate": 1.1},
        {"vendor": "resend", "kind": "drop", "rate": True},
        {"vendor": "resend", "kind": "drop", "count": 0},
        {"vendor": "resend", "kind": "drop", "count": 1.5},
        {"vendor": "resend", "kind": "hang", "count": 1, "seconds": -1},
        {"vendor": "resend", "kind": "drop", "count": 1, "operation": "delete"},
        {"vendor": ["resend"], "kind": "drop", "count": 1},
        {"vendor": "resend", "kind": {}, "count": 1},
    ],
)
async def test_an_order_that_cannot_be_meant_is_refused(api: Api, wrong: Any) -> None:
    async with api.post("/faults", json=wrong) as response:
        assert response.status == 400
        assert (await response.json())["error"]


async def test_orders_are_listed_with_what_they_met_and_cleared(api: Api) -> None:
    await order(api, kind="server_error", count=2)
    assert await send(api) == 500
    async with api.get("/faults") as response:
        (listed,) = await response.json()
    assert (listed["kind"], listed["remaining"], listed["met"]) == ("server_error", 1, 1)
    async with api.delete("/faults") as response:
        assert response.status == 204
    assert await send(api) == 200


@pytest.mark.parametrize(
    ("kind", "status", "accepted"),
    [
        ("too_many", 429, 0),
        ("server_error", 500, 0),
        ("server_error_after_accept", 500, 1),
        ("drop", None, 0),
        ("accept_then_drop", None, 1),
        ("hang", None, 0),
        ("accept_then_hang", None, 1),
        ("slow", 200, 1),
        ("hide", 200, 1),
        ("redact", 200, 1),
    ],
)
async def test_each_kind_accepts_or_not_and_answers_or_not(
    api: Api, kind: str, status: int | None, accepted: int
) -> None:
    assert kind in KINDS
    await order(api, kind=kind, count=1, seconds=0.05)
    began = monotonic()
    if status is None:
        with pytest.raises(ClientError):
            await send(api)
    else:
        assert await send(api) == status
    if kind in ("hang", "accept_then_hang", "slow"):
        assert monotonic() - began >= 0.05
    counted = await stats(api)
    assert (counted["accepted"], counted["faults"]) == (accepted, {kind: 1})
    assert await send(api) == 200


async def test_a_retry_after_can_be_ordered(api: Api) -> None:
    await order(api, kind="too_many", count=1, seconds=9)
    async with api.post("/emails", json=MAIL) as response:
        assert (response.status, response.headers["retry-after"]) == (429, "9")


async def test_an_order_strikes_its_own_vendor_and_operation_only(api: Api) -> None:
    await order(api, vendor="twilio", kind="server_error", rate=1)
    await order(api, kind="server_error", operation="read", rate=1)
    assert await send(api) == 200
    async with api.get("/emails") as response:
        assert response.status == 500
    await order(api, vendor="*", kind="too_many", rate=1)
    assert await send(api) == 429


async def test_a_count_is_used_up_by_what_struck_not_by_what_was_refused(api: Api) -> None:
    await order(api, kind="accept_then_drop", count=1)
    assert await send(api, to="nobody") == 422
    with pytest.raises(ClientError):
        await send(api)


def test_a_seeded_rate_repeats_itself_and_is_about_as_high_as_ordered() -> None:
    def struck(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.orders.append(Fault("resend", "drop", rate=0.3))
        return [faults.draw("resend", "create", Moment.ARRIVAL) is not None for _ in range(1_000)]

    assert struck(7) == struck(7) != struck(8)
    assert 250 < sum(struck(7)) < 350


def test_a_rate_with_a_count_ends_with_the_count() -> None:
    faults = Faults(1)
    faults.orders.append(Fault("resend", "drop", rate=0.5, remaining=3))
    struck = [faults.draw("resend", "create", Moment.ARRIVAL) for _ in range(100)]
    assert sum(fault is not None for fault in struck) == 3


@pytest.mark.parametrize(
    ("recipient", "mark"),
    [
        ("too-many+1@resend.dev", "too_many"),
        ("accept-then-drop+x@resend.dev", "accept_then_drop"),
        ("rejected+1@resend.dev", REJECTED),
        ("delivered+1@resend.dev", None),
        ("too-many+1@acme.io", None),
        ("too-many@resend.dev", None),
        ("+15001239429", "too_many"),
        ("+15009999601", "accept_then_drop"),
        ("+15001239400", REJECTED),
        ("+15001239999", None),
        ("+15005550001", None),
        ("+14155559429", None),
    ],
)
def test_marks_are_read_off_a_recipient(recipient: str, mark: str | None) -> None:
    assert mark_of(recipient) == mark


async def listed(api: Api) -> list[str]:
    async with api.get("/emails") as response:
        return [mail["to"][0] for mail in (await response.json())["data"]]


async def test_a_hidden_mail_is_listed_when_its_time_is_over_and_found_by_its_id_at_once() -> None:
    now = [100.0]
    app = create_app(Options(clock=lambda: now[0]))
    async with TestClient(TestServer(app), headers={"Authorization": "Bearer re_acme"}) as api:
        await order(api, kind="hide", count=1, seconds=30)
        async with api.post("/emails", json=MAIL) as response:
            hidden = (await response.json())["id"]
        assert await send(api, to="carl@mail.io") == 200
        assert await listed(api) == ["carl@mail.io"]
        async with api.get(f"/emails/{hidden}") as response:
            assert response.status == 200
        now[0] += 30
        assert await listed(api) == ["carl@mail.io", "ada@mail.io"]


async def test_each_send_of_a_batch_is_hidden_by_itself(api: Api) -> None:
    await order(api, kind="hide", count=1)
    batch = [{**MAIL, "to": to} for to in ("ada@mail.io", "bea@mail.io", "Hide <hide+1@resend.dev>")]
    async with api.post("/emails/batch", json=batch) as response:
        assert response.status == 200
    assert await listed(api) == ["bea@mail.io"]
    assert (await stats(api))["faults"] == {"hide": 2}


def test_every_kind_of_fault_has_a_code_for_numbers() -> None:
    assert set(CODES.values()) == {*KINDS, REJECTED}


def test_a_mark_strikes_once_and_takes_its_equals_along() -> None:
    marks, moments = Marks(), (Moment.ARRIVAL, Moment.WORK)
    batch = ["ada@mail.io", "too-many+1@resend.dev", "drop+1@resend.dev", "too-many+2@resend.dev"]
    struck = [marks.draw(batch, moments) for _ in range(3)]
    assert [fault.kind if fault else None for fault in struck] == ["too_many", "drop", None]
    assert marks.draw(["accept-then-drop+1@resend.dev"], moments) is None


async def test_a_marked_recipient_meets_its_fault_once_at_every_vendor(api: Api) -> None:
    account, number = "AC" + "a" * 32, "+15001239500"
    messages = f"/2010-04-01/Accounts/{account}/Messages.json"
    call = {"assistantId": "a", "phoneNumberId": "p", "customer": {"number": number[:-3] + "501"}}
    for expected in ((429, 500, 500), (200, 201, 201)):
        mail = await send(api, to="too-many+1@resend.dev")
        basic = {"Authorization": encode_basic_auth(account, "token")}
        form = {"To": number, "From": "+15005550006", "Body": "x"}
        async with api.post(messages, data=form, headers=basic) as response:
            sms = response.status
        async with api.post("/call", json=call) as response:
            voice = response.status
        assert (mail, sms, voice) == expected
