"""The simulator's Vapi against Vapi's own OpenAPI file and its documented behaviour."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from simulator.app import create_app
from simulator.simulation import Options
from tests.conformance.openapi import JSON, Spec, needs_specs

Api = TestClient[web.Request, web.Application]

NUMBER = "+14155550100"
CALL: dict[str, Any] = {
    "name": "6f0e6a0e-3a86-4b5b-9d1f-0a8f5b0c7d11",
    "assistantId": "asst-1",
    "phoneNumberId": "number-1",
    "customer": {"number": NUMBER, "name": "Ada", "externalId": "lead-1"},
    "assistantOverrides": {
        "firstMessage": "Hello Ada",
        "variableValues": {"name": "Ada"},
        "metadata": {"attempt": "0b9d"},
        "serverMessages": ["status-update", "end-of-call-report"],
        "server": {"url": "https://fleet.acme.io/webhooks/vapi/1?attempt=0b9d", "timeoutSeconds": 20},
        "voicemailMessage": "Please call us back",
        "voicemailDetection": {"provider": "vapi", "type": "audio", "beepMaxAwaitSeconds": 30},
    },
}
TRANSIENT: dict[str, Any] = {
    "assistant": {"firstMessage": "Hello", "name": "Guide"},
    "phoneNumberId": "number-1",
    "customer": {"number": NUMBER},
}


class Clock:
    """A clock that only a test moves."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def opened(options: Options) -> Api:
    client: Api = TestClient(TestServer(create_app(options)), headers={"Authorization": "Bearer vapi-acme"})
    await client.start_server()
    return client


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    client = await opened(Options(settle_seconds=0))
    yield client
    await client.close()


async def post(api: Api, call: Any, **headers: str) -> tuple[int, Any]:
    async with api.post("/call", json=call, headers=headers) as response:
        return response.status, await response.json()


async def get(api: Api, path: str, **query: str) -> tuple[int, Any]:
    async with api.get(path, params=query) as response:
        return response.status, await response.json()


def changed(**fields: Any) -> dict[str, Any]:
    """Return the usual call with other fields; None takes a field away."""
    return {key: value for key, value in {**CALL, **fields}.items() if value is not None}


@needs_specs
@pytest.mark.parametrize("settle_seconds", [0.0, 60.0], ids=["settled", "fresh"])
@pytest.mark.parametrize("call", [CALL, TRANSIENT], ids=["assistant by id", "transient assistant"])
async def test_every_success_is_valid_by_the_vendors_file(call: dict[str, Any], settle_seconds: float) -> None:
    spec, api = Spec.of("vapi"), await opened(Options(settle_seconds=settle_seconds))
    assert spec.request_errors("POST", "/call", JSON, call) == []
    status, created = await post(api, call)
    assert spec.response_errors("POST", "/call", status, created) == []
    assert UUID(created["id"]).version == 4

    status, shown = await get(api, f"/call/{created['id']}")
    assert spec.response_errors("GET", f"/call/{created['id']}", status, shown) == []

    status, listed = await get(api, "/call")
    assert spec.response_errors("GET", "/call", status, listed) == []
    assert listed == [shown]
    await api.close()


async def test_a_call_is_queued_before_it_ends() -> None:
    clock = Clock()
    api = await opened(Options(clock=clock, settle_seconds=5))
    _, created = await post(api, CALL)
    assert (created["status"], created["customer"]["number"], created["name"]) == ("queued", NUMBER, CALL["name"])
    clock.now += 5
    shown = (await get(api, f"/call/{created['id']}"))[1]
    assert (shown["status"], shown["endedReason"]) == ("ended", "customer-ended-call")
    assert "Hello Ada" in shown["artifact"]["transcript"]
    assert datetime.fromisoformat(shown["endedAt"]) - datetime.fromisoformat(shown["startedAt"]) == timedelta(seconds=7)
    await api.close()


async def test_a_scheduled_call_waits(api: Api) -> None:
    plan = {"earliestAt": "2999-01-01T00:00:00Z"}
    status, call = await post(api, changed(schedulePlan=plan))
    assert (status, call["status"], call["schedulePlan"]) == (201, "scheduled", plan)


async def test_lists_filter_by_id_assistant_number_and_time() -> None:
    clock = Clock()
    api = await opened(Options(clock=clock, settle_seconds=3600))
    calls = []
    for assistant in ("asst-1", "asst-2", "asst-1"):
        calls.append((await post(api, changed(assistantId=assistant)))[1])
        clock.now += 10
    first, second, third = calls
    expected: list[tuple[dict[str, str], list[dict[str, Any]]]] = [
        ({}, [third, second, first]),
        ({"limit": "2"}, [third, second]),
        ({"id": second["id"]}, [second]),
        ({"assistantId": "asst-1"}, [third, first]),
        ({"phoneNumberId": "number-2"}, []),
        ({"createdAtGe": second["createdAt"]}, [third, second]),
        ({"createdAtGt": second["createdAt"]}, [third]),
        ({"createdAtLe": second["createdAt"]}, [second, first]),
        ({"createdAtLt": second["createdAt"]}, [first]),
        ({"createdAtGt": first["createdAt"], "createdAtLt": third["createdAt"]}, [second]),
        ({"updatedAtGe": third["updatedAt"]}, [third]),
    ]
    for query, found in expected:
        assert (await get(api, "/call", **query))[1] == found, query
    await api.close()


@pytest.mark.parametrize(
    "query", [{"name": "x"}, {"limit": "1001"}, {"createdAtGe": "yesterday"}], ids=["name", "limit", "date"]
)
async def test_a_filter_that_the_vendor_does_not_have_is_refused(api: Api, query: dict[str, str]) -> None:
    assert (await get(api, "/call", **query))[0] == 400


REFUSED: list[tuple[str, Any, str]] = [
    ("unknown key", changed(metadata={}), "property metadata should not exist"),
    ("unknown customer key", changed(customer={"number": NUMBER, "phone": "1"}), "property customer.phone"),
    ("batch", changed(customers=[{"number": NUMBER}]), "property customers"),
    ("no assistant", changed(assistantId=None), "assistantId"),
    ("no number of ours", changed(phoneNumberId=None), "phoneNumberId"),
    ("no customer", changed(customer=None), "customer"),
    ("no number", changed(customer={}), "customer.number"),
    ("number", changed(customer={"number": "4155550100"}), "E.164"),
    ("long name", changed(name="n" * 41), "name must be at most 40"),
    ("long external id", changed(customer={"number": NUMBER, "externalId": "e" * 41}), "externalId"),
    ("type", changed(assistantId=7), "assistantId has the wrong type"),
    ("schedule", changed(schedulePlan={"earliestAt": "soon"}), "earliestAt must be a date"),
    ("schedule without start", changed(schedulePlan={}), "earliestAt is required"),
    ("no object", [CALL], "JSON object"),
]


@pytest.mark.parametrize(("call", "reason"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
async def test_a_bad_call_is_refused_with_its_reasons(api: Api, call: Any, reason: str) -> None:
    status, error = await post(api, call)
    assert (status, error["statusCode"], error["error"]) == (400, 400, "Bad Request")
    assert any(reason in message for message in error["message"])
    assert (await get(api, "/stats"))[1]["vapi"]["accepted"] == 0


@pytest.mark.parametrize(
    ("number", "status", "message"),
    [
        ("+15005550001", 400, "customer.number cannot be called"),
        ("+15005550002", 400, "Over Concurrency Limit"),
        ("+15005550003", 402, "The wallet of the organization is empty"),
        ("+15001239400", 400, "customer.number is marked to be rejected"),
    ],
)
async def test_magic_numbers_are_refused(api: Api, number: str, status: int, message: str) -> None:
    answered, error = await post(api, changed(customer={"number": number}))
    assert (answered, error["message"]) == (status, message)


@pytest.mark.parametrize("authorization", ["", "Bearer ", "Bearer revoked-1", "Basic abc"])
async def test_a_wrong_key_is_refused(api: Api, authorization: str) -> None:
    status, error = await post(api, CALL, Authorization=authorization)
    assert (status, error) == (401, {"message": "Invalid key", "error": "Unauthorized", "statusCode": 401})


async def test_another_accounts_call_is_not_found(api: Api) -> None:
    _, call = await post(api, CALL)
    async with api.get(f"/call/{call['id']}", headers={"Authorization": "Bearer other"}) as response:
        assert response.status == 404
    async with api.get("/call", headers={"Authorization": "Bearer other"}) as response:
        assert await response.json() == []


async def test_a_server_error_has_the_vendors_form(api: Api) -> None:
    await api.post("/faults", json={"vendor": "vapi", "kind": "server_error", "count": 1})
    status, error = await post(api, CALL)
    assert (status, error["error"]) == (500, "Internal Server Error")


async def test_a_body_that_is_no_json_is_refused(api: Api) -> None:
    async with api.post("/call", data=b"{") as response:
        assert (response.status, (await response.json())["message"]) == (400, ["The body is not JSON"])


async def test_too_many_requests_are_refused_in_the_vendors_form(api: Api) -> None:
    await api.post("/faults", json={"vendor": "vapi", "kind": "too_many", "count": 1})
    status, error = await post(api, CALL)
    assert (status, error["statusCode"], error["error"]) == (429, 429, "Too Many Requests")


async def test_what_marks_an_attempt_is_kept_and_no_part_of_the_content(api: Api) -> None:
    for attempt in ("one", "two"):
        overrides = CALL["assistantOverrides"] | {
            "metadata": {"attempt": attempt},
            "server": {"url": f"https://fleet.acme.io/?attempt={attempt}"},
        }
        await post(api, changed(name=attempt, assistantOverrides=overrides))
    await post(api, changed(assistantOverrides={"firstMessage": "Good day"}))
    counted = (await get(api, "/stats"))[1]["vapi"]
    assert (counted["accepted"], counted["distinct"]) == (3, 2)
    async with api.get("/stats/accepted") as response:
        first = (await response.text()).splitlines()[0]
    for mark in ('"name":"one"', '"external_id":"lead-1"', '"metadata":{"attempt":"one"}', '"attempt":"one"'):
        assert mark in first


async def test_times_are_shown_in_utc(api: Api) -> None:
    _, call = await post(api, CALL)
    assert abs(datetime.fromisoformat(call["createdAt"]) - datetime.now(UTC)) < timedelta(seconds=60)
