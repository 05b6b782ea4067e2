"""The simulator's Twilio against Twilio's own OpenAPI file, its documented error codes and its own SDK."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from aiohttp import encode_basic_auth, web
from aiohttp.test_utils import TestClient, TestServer
from twilio.base.exceptions import TwilioRestException  # type: ignore[import-untyped]
from twilio.http.http_client import TwilioHttpClient  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from simulator.app import create_app
from simulator.simulation import Options
from tests.conformance.openapi import FORM, Spec, needs_specs

Api = TestClient[web.Request, web.Application]
Pairs = list[tuple[str, str]]

ACCOUNT = "AC" + "a" * 32
SERVICE = "MG" + "b" * 32
MESSAGES = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
CALLS = f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
TO, FROM = "+14155550100", "+15005550006"
CALLBACK = "https://fleet.acme.io/webhooks/twilio/1?attempt=0b9d"

SMS = {"To": TO, "From": FROM, "Body": "Hello", "StatusCallback": CALLBACK}
CALL = {"To": TO, "From": FROM, "Twiml": "<Response><Say>Hello</Say></Response>", "StatusCallback": CALLBACK}


class Clock:
    """A clock that only a test moves."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": encode_basic_auth(user, password)}


async def opened(options: Options) -> Api:
    client: Api = TestClient(TestServer(create_app(options)), headers=basic(ACCOUNT, "token"))
    await client.start_server()
    return client


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    client = await opened(Options(settle_seconds=0))
    yield client
    await client.close()


async def post(api: Api, path: str, form: dict[str, str] | Pairs, **headers: str) -> tuple[int, Any]:
    async with api.post(path, data=form, headers=headers) as response:
        return response.status, await response.json()


async def get(api: Api, path: str, **query: str) -> tuple[int, Any]:
    async with api.get(path, params=query) as response:
        return response.status, await response.json()


FORMS: list[tuple[str, str, Pairs]] = [
    ("sms", MESSAGES, [*SMS.items(), ("ValidityPeriod", "3600"), ("SmartEncoded", "true")]),
    ("mms", MESSAGES, [*SMS.items(), ("MediaUrl", "https://acme.io/a.png"), ("MediaUrl", "https://acme.io/b.png")]),
    ("service", MESSAGES, [("To", TO), ("MessagingServiceSid", SERVICE), ("Body", "Hello 👋")]),
    ("call", CALLS, [*CALL.items(), ("StatusCallbackEvent", "initiated"), ("StatusCallbackEvent", "completed")]),
    ("voicemail", CALLS, [("To", TO), ("From", FROM), ("Url", CALLBACK), ("MachineDetection", "DetectMessageEnd")]),
]


@needs_specs
@pytest.mark.parametrize("settle_seconds", [0.0, 60.0], ids=["settled", "fresh"])
@pytest.mark.parametrize(("path", "form"), [case[1:] for case in FORMS], ids=[case[0] for case in FORMS])
async def test_every_success_is_valid_by_the_vendors_file(path: str, form: Pairs, settle_seconds: float) -> None:
    spec, api = Spec.of("twilio"), await opened(Options(settle_seconds=settle_seconds))
    assert spec.request_errors("POST", path, FORM, form) == []
    status, created = await post(api, path, form)
    assert spec.response_errors("POST", path, status, created) == []

    status, shown = await get(api, created["uri"])
    assert spec.response_errors("GET", created["uri"], status, shown) == []
    assert (shown["sid"], shown["to"]) == (created["sid"], TO)

    status, listed = await get(api, path, To=TO)
    assert spec.response_errors("GET", path, status, listed) == []
    plural = "messages" if path is MESSAGES else "calls"
    assert [one["sid"] for one in listed[plural]] == [created["sid"]]
    await api.close()


async def test_a_message_is_queued_before_it_is_delivered_and_a_date_filter_misses_it() -> None:
    clock = Clock()
    api = await opened(Options(clock=clock, settle_seconds=5))
    _, created = await post(api, MESSAGES, SMS)
    assert (created["status"], created["date_sent"], created["body"]) == ("queued", None, "Hello")
    today = datetime.now(UTC).date()
    by_day = {"DateSent>": str(today - timedelta(days=1))}
    assert (await get(api, MESSAGES, **by_day))[1]["messages"] == []
    clock.now += 5
    (found,) = (await get(api, MESSAGES, **by_day))[1]["messages"]
    assert (found["status"], found["sid"]) == ("delivered", created["sid"])
    assert (await get(api, MESSAGES, **{"DateSent<": str(today - timedelta(days=1))}))[1]["messages"] == []
    await api.close()


async def test_a_service_picks_its_sender_when_the_message_is_sent() -> None:
    clock = Clock()
    api = await opened(Options(clock=clock, settle_seconds=5))
    _, created = await post(api, MESSAGES, {"To": TO, "MessagingServiceSid": SERVICE, "Body": "Hello"})
    assert (created["status"], created["from"], created["num_segments"]) == ("accepted", None, "0")
    clock.now += 5
    assert (await get(api, created["uri"]))[1]["from"] == FROM
    await api.close()


@pytest.mark.parametrize(
    ("body", "segments"),
    [("a" * 160, "1"), ("a" * 161, "2"), ("é" * 160, "1"), ("ç" * 71, "2"), ("👋" * 35, "1"), ("👋" * 36, "2")],
)
async def test_segments_are_counted_by_the_alphabet(api: Api, body: str, segments: str) -> None:
    assert (await post(api, MESSAGES, {**SMS, "Body": body}))[1]["num_segments"] == segments


async def test_a_voicemail_drop_meets_a_machine(api: Api) -> None:
    _, call = await post(api, CALLS, {**CALL, "MachineDetection": "DetectMessageEnd"})
    shown = (await get(api, call["uri"]))[1]
    assert (shown["status"], shown["answered_by"], shown["duration"]) == ("completed", "machine_end_beep", "7")


async def test_lists_page_by_token_while_new_messages_arrive(api: Api) -> None:
    sids = [(await post(api, MESSAGES, {**SMS, "Body": str(number)}))[1]["sid"] for number in range(5)]
    _, first = await get(api, MESSAGES, To=TO, PageSize="2")
    await post(api, MESSAGES, SMS)
    _, second = await get(api, first["next_page_uri"])
    _, third = await get(api, second["next_page_uri"])
    pages = [[one["sid"] for one in page["messages"]] for page in (first, second, third)]
    assert pages == [[sids[4], sids[3]], [sids[2], sids[1]], [sids[0]]]
    assert (third["next_page_uri"], third["page"], third["start"]) == (None, 2, 4)


async def test_lists_filter_by_recipient_and_sender(api: Api) -> None:
    await post(api, MESSAGES, SMS)
    _, other = await post(api, MESSAGES, {**SMS, "To": "+14155550199", "From": "Acme"})
    for query in ({"To": "+14155550199"}, {"From": "Acme"}, {"To": "+14155550199", "From": "Acme"}):
        assert [one["sid"] for one in (await get(api, MESSAGES, **query))[1]["messages"]] == [other["sid"]]
    assert (await get(api, MESSAGES, To=TO, From="Acme"))[1]["messages"] == []


async def test_lists_filter_calls_by_status_and_day(api: Api) -> None:
    _, call = await post(api, CALLS, CALL)
    today = str(datetime.now(UTC).date())
    found = (await get(api, CALLS, Status="completed", **{"StartTime>": today}))[1]["calls"]
    assert [one["sid"] for one in found] == [call["sid"]]
    assert (await get(api, CALLS, Status="busy"))[1]["calls"] == []


@pytest.mark.parametrize(
    "query",
    [{"PageSize": "0"}, {"PageSize": "1001"}, {"Page": "x"}, {"PageToken": "PASM1"}, {"Body": "x"}, {"DateSent": "x"}],
)
async def test_a_list_that_cannot_be_meant_is_refused(api: Api, query: dict[str, str]) -> None:
    await post(api, MESSAGES, SMS)
    status, error = await get(api, MESSAGES, **query)
    assert (status, error["code"]) == (400, 20001)


REFUSED: list[tuple[str, dict[str, str], int]] = [
    (MESSAGES, {"From": FROM, "Body": "x"}, 21604),
    (MESSAGES, {"To": TO, "Body": "x"}, 21603),
    (MESSAGES, {"To": TO, "From": FROM}, 21602),
    (MESSAGES, {**SMS, "Body": ""}, 21602),
    (MESSAGES, {**SMS, "Body": "a" * 1601}, 21617),
    (MESSAGES, {**SMS, "To": "4155550100"}, 21211),
    (MESSAGES, {**SMS, "To": "+15005550001"}, 21211),
    (MESSAGES, {**SMS, "To": "+15005550002"}, 21612),
    (MESSAGES, {**SMS, "To": "+15005550003"}, 21408),
    (MESSAGES, {**SMS, "To": "+15005550004"}, 21610),
    (MESSAGES, {**SMS, "To": "+15005550009"}, 21614),
    (MESSAGES, {**SMS, "To": "+15001239400"}, 21211),
    (MESSAGES, {**SMS, "From": "+15005550001"}, 21212),
    (MESSAGES, {**SMS, "From": "?"}, 21212),
    (MESSAGES, {**SMS, "From": "+15005550007"}, 21606),
    (MESSAGES, {**SMS, "From": "+15005550008"}, 21611),
    (MESSAGES, {**SMS, "StatusCallback": "https://a_b.acme.io/"}, 21609),
    (MESSAGES, {**SMS, "MediaUrl": "a.png"}, 21620),
    (CALLS, {**CALL, "To": "sip:ada@acme.io", "From": "?"}, 21212),
    (MESSAGES, {**SMS, "Boddy": "x"}, 20001),
    (MESSAGES, {**SMS, "ValidityPeriod": "36001"}, 20001),
    (MESSAGES, {**SMS, "MessagingServiceSid": "MG1"}, 20001),
    (MESSAGES, {**SMS, "ScheduleType": "fixed"}, 35111),
    (MESSAGES, {**SMS, "ScheduleType": "fixed", "SendAt": "2999-01-01T00:00:00Z"}, 35118),
    (
        MESSAGES,
        {**SMS, "MessagingServiceSid": SERVICE, "ScheduleType": "fixed", "SendAt": "2999-01-01T00:00:00Z"},
        35114,
    ),
    (CALLS, {"From": FROM, "Twiml": "<Response/>"}, 21201),
    (CALLS, {"To": TO, "Twiml": "<Response/>"}, 21213),
    (CALLS, {"To": TO, "From": FROM}, 21205),
    (CALLS, {"To": TO, "From": FROM, "Url": "call.xml"}, 21205),
    (CALLS, {**CALL, "Twiml": "x" * 4001}, 20001),
    (CALLS, {**CALL, "To": "nobody"}, 21217),
    (CALLS, {**CALL, "To": "+15005550001"}, 21217),
    (CALLS, {**CALL, "To": "+15005550002"}, 21214),
    (CALLS, {**CALL, "To": "+15005550003"}, 21215),
    (CALLS, {**CALL, "To": "+15005550004"}, 21216),
    (CALLS, {**CALL, "To": "+15001239400"}, 21217),
    (CALLS, {**CALL, "From": "+15005550001"}, 21212),
    (CALLS, {**CALL, "StatusCallbackEvent": "hungup"}, 21626),
    (CALLS, {**CALL, "MachineDetection": "Yes"}, 20001),
    (CALLS, {**CALL, "Body": "x"}, 20001),
]


@pytest.mark.parametrize(("path", "form", "code"), REFUSED)
async def test_a_bad_request_gets_the_vendors_code(api: Api, path: str, form: dict[str, str], code: int) -> None:
    status, error = await post(api, path, form)
    assert (status, error["status"], error["code"]) == (400, 400, code)
    assert error.keys() == {"code", "message", "more_info", "status"}
    assert error["more_info"].endswith(f"/{code}")
    counted = (await get(api, "/stats"))[1]["twilio"]
    assert (counted["accepted"], counted["refused"]) == (0, {str(code): 1})


async def test_a_scheduled_message_waits(api: Api) -> None:
    send_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    form = {**SMS, "MessagingServiceSid": SERVICE, "ScheduleType": "fixed", "SendAt": send_at}
    status, message = await post(api, MESSAGES, form)
    assert (status, message["status"], message["date_sent"]) == (201, "scheduled", None)


async def test_a_single_parameter_given_twice_is_refused_by_name(api: Api) -> None:
    status, error = await post(api, MESSAGES, [*SMS.items(), ("Body", "again")])
    assert (status, error["code"]) == (400, 20001)
    assert "Body" in error["message"]


async def test_json_is_no_form(api: Api) -> None:
    async with api.post(MESSAGES, json=SMS) as response:
        assert (response.status, (await response.json())["code"]) == (400, 20001)


@pytest.mark.parametrize(
    "credentials",
    [
        basic("AC" + "f" * 32, "token"),
        basic(ACCOUNT, "revoked-1"),
        basic("revoked-key", "x"),
        {"Authorization": ""},
        {"Authorization": "Basic ?"},
    ],
    ids=["another account", "revoked token", "revoked key", "none", "not encoded"],
)
async def test_wrong_credentials_are_refused(api: Api, credentials: dict[str, str]) -> None:
    status, error = await post(api, MESSAGES, SMS, **credentials)
    assert (status, error["code"]) == (401, 20003)


async def test_an_account_has_a_sid(api: Api) -> None:
    status, error = await post(api, MESSAGES.replace(ACCOUNT, "ACME"), SMS, **basic("ACME", "token"))
    assert (status, error["code"]) == (404, 20404)


async def test_an_api_key_may_ask_for_the_account(api: Api) -> None:
    assert (await post(api, MESSAGES, SMS, **basic("SK" + "c" * 32, "secret")))[0] == 201


async def test_another_accounts_message_is_not_found(api: Api) -> None:
    _, message = await post(api, MESSAGES, SMS)
    other = "AC" + "f" * 32
    path = message["uri"].replace(ACCOUNT, other)
    async with api.get(path, headers=basic(other, "token")) as response:
        assert (response.status, (await response.json())["code"]) == (404, 20404)


async def test_too_many_requests_carry_a_time_only_where_a_fault_names_one(api: Api) -> None:
    for seconds in (None, 7):
        await api.post("/faults", json={"vendor": "twilio", "kind": "too_many", "count": 1, "seconds": seconds})
    for retry_after in (None, "7"):
        async with api.post(MESSAGES, data=SMS) as response:
            assert (response.status, (await response.json())["code"]) == (429, 20429)
            assert response.headers.get("Retry-After") == retry_after


async def test_the_callbacks_attempt_is_kept_and_no_part_of_the_content(api: Api) -> None:
    for attempt in ("one", "two"):
        url = f"https://fleet.acme.io/answer?attempt={attempt}"
        await post(api, CALLS, {"To": TO, "From": FROM, "Url": url, "StatusCallback": url})
        await post(api, MESSAGES, {**SMS, "StatusCallback": url})
    async with api.get("/stats/accepted?vendor=twilio") as response:
        assert (await response.text()).count('"attempt":"one"') == 2
    counted = (await get(api, "/stats"))[1]["twilio"]
    assert (counted["accepted"], counted["distinct"], counted["duplicates"]) == (4, 2, 2)


class Loopback:
    """The SDK's own HTTP client, turned to the simulator."""

    def __init__(self, base_url: str) -> None:
        self._base = urlsplit(base_url)
        self._client = TwilioHttpClient(timeout=30)

    def close(self) -> None:
        self._client.session.close()

    def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        parts = urlsplit(url)
        turned = urlunsplit((self._base.scheme, self._base.netloc, parts.path, parts.query, ""))
        return self._client.request(method, turned, *args, **options)


async def test_the_vendors_sdk_reads_every_answer(api: Api) -> None:
    http = Loopback(str(api.make_url("")))
    client = Client(ACCOUNT, "token", http_client=http)
    in_thread: Callable[..., Any] = asyncio.to_thread

    message = await in_thread(client.messages.create, to=TO, from_=FROM, body="Hello", status_callback=CALLBACK)
    assert (message.status, message.direction, message.date_created.tzinfo) == ("delivered", "outbound-api", UTC)
    await in_thread(client.messages.create, to=TO, from_=FROM, body="Hello again", media_url=["https://acme.io/a.png"])
    listed = await in_thread(client.messages.list, to=TO, page_size=1)
    assert [one.body for one in listed] == ["Hello again", "Hello"]
    assert (await in_thread(client.messages(message.sid).fetch)).sid == message.sid

    call = await in_thread(
        client.calls.create, to=TO, from_=FROM, twiml="<Response/>", status_callback_event=["initiated", "completed"]
    )
    assert [one.sid for one in await in_thread(client.calls.list, to=TO)] == [call.sid]

    with pytest.raises(TwilioRestException) as refused:
        await in_thread(client.messages.create, to="+15005550004", from_=FROM, body="Hello")
    assert (refused.value.status, refused.value.code) == (400, 21610)
    http.close()
