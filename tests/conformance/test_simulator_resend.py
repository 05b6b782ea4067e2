"""The simulator's Resend against Resend's own OpenAPI file, its documented behaviour and its own SDK."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import pytest
import resend
from aiohttp import ClientSession, web
from aiohttp.client_exceptions import ServerDisconnectedError
from aiohttp.test_utils import TestClient, TestServer

from simulator.app import create_app
from simulator.ratelimit import Limit
from simulator.simulation import Options
from tests.conformance.openapi import JSON, Spec, needs_specs

Api = TestClient[web.Request, web.Application]

MAIL: dict[str, Any] = {
    "from": "Acme <hello@acme.io>",
    "to": ["ada@mail.io"],
    "subject": "Hello",
    "html": "<p>Hello</p>",
    "text": "Hello",
    "cc": "carl@mail.io",
    "reply_to": ["help@acme.io"],
    "headers": {"X-Campaign": "spring"},
    "tags": [{"name": "attempt", "value": "0b9d"}],
    "attachments": [{"filename": "a.txt", "content": "SGVsbG8=", "content_type": "text/plain"}],
}
WITH_TEMPLATE = {"from": "hello@acme.io", "to": "ada@mail.io", "subject": "Hello", "template": {"id": "welcome"}}
PLAIN = {"from": "hello@acme.io", "to": "ada@mail.io", "subject": "Hello", "text": "Hello"}


class Clock:
    """A clock that only a test moves."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def opened(options: Options) -> Api:
    client: Api = TestClient(TestServer(create_app(options)), headers={"Authorization": "Bearer re_acme"})
    await client.start_server()
    return client


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    client = await opened(Options(settle_seconds=0))
    yield client
    await client.close()


async def post(api: Api, path: str, payload: Any, key: str | None = None, **headers: str) -> tuple[int, Any]:
    if key is not None:
        headers["Idempotency-Key"] = key
    async with api.post(path, json=payload, headers=headers) as response:
        return response.status, await response.json()


async def get(api: Api, path: str) -> tuple[int, Any]:
    async with api.get(path) as response:
        return response.status, await response.json()


async def stats(api: Api) -> Any:
    return (await get(api, "/stats"))[1]["resend"]


@needs_specs
async def test_every_success_is_valid_by_the_vendors_file(api: Api) -> None:
    spec = Spec.of("resend")
    assert spec.request_errors("POST", "/emails", JSON, MAIL) == []
    status, sent = await post(api, "/emails", MAIL)
    assert spec.response_errors("POST", "/emails", status, sent) == []
    assert UUID(sent["id"]).version == 4

    status, batch = await post(api, "/emails/batch", [PLAIN, PLAIN])
    assert spec.response_errors("POST", "/emails/batch", status, batch) == []
    assert len({one["id"] for one in batch["data"]}) == 2

    status, shown = await get(api, f"/emails/{sent['id']}")
    assert spec.response_errors("GET", f"/emails/{sent['id']}", status, shown) == []
    assert (shown["to"], shown["cc"], shown["html"], shown["text"]) == (
        ["ada@mail.io"], ["carl@mail.io"], "<p>Hello</p>", "Hello",
    )  # fmt: skip

    status, listed = await get(api, "/emails")
    assert spec.response_errors("GET", "/emails", status, listed) == []
    assert [one["id"] for one in listed["data"]] == [*(one["id"] for one in reversed(batch["data"])), sent["id"]]


async def test_lists_page_by_cursor_in_both_directions(api: Api) -> None:
    _, answer = await post(api, "/emails/batch", [PLAIN] * 5)
    newest_first = [one["id"] for one in reversed(answer["data"])]

    async def page(query: str) -> tuple[list[str], bool]:
        listed = (await get(api, f"/emails?{query}"))[1]
        return [one["id"] for one in listed["data"]], listed["has_more"]

    assert await page("limit=2") == (newest_first[:2], True)
    assert await page("limit=5") == (newest_first, False)
    assert await page(f"limit=2&after={newest_first[1]}") == (newest_first[2:4], True)
    assert await page(f"limit=2&after={newest_first[3]}") == (newest_first[4:], False)
    assert await page(f"limit=2&before={newest_first[4]}") == (newest_first[2:4], True)
    assert await page(f"limit=9&before={newest_first[2]}") == (newest_first[:2], False)


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=0", 422), ("limit=101", 422), ("limit=x", 422), ("after=a&before=b", 422), ("after=nobody", 404)],
)
async def test_a_page_that_is_none_is_refused(api: Api, query: str, status: int) -> None:
    answered, error = await get(api, f"/emails?{query}")
    assert (answered, error["statusCode"]) == (status, status)


REFUSED: list[tuple[str, Any, int, str]] = [
    ("no from", {key: MAIL[key] for key in MAIL if key != "from"}, 422, "missing_required_field"),
    ("no content", {"from": "a@acme.io", "to": "b@mail.io", "subject": "s"}, 422, "missing_required_field"),
    ("unknown key", {**PLAIN, "scheduledAt": "tomorrow"}, 422, "validation_error"),
    ("wrong type", {**PLAIN, "subject": 7}, 422, "validation_error"),
    ("sender", {**PLAIN, "from": "Acme"}, 422, "invalid_from_address"),
    ("unverified domain", {**PLAIN, "from": "a@unverified.acme.io"}, 403, "validation_error"),
    ("recipient", {**PLAIN, "to": "ada@"}, 422, "validation_error"),
    ("recipient type", {**PLAIN, "to": ["ada@mail.io", 7]}, 422, "validation_error"),
    ("example.com", {**PLAIN, "to": "ada@example.com"}, 422, "validation_error"),
    ("test.com", {**PLAIN, "to": "Ada <ada@TEST.com>"}, 422, "validation_error"),
    ("51 recipients", {**PLAIN, "to": ["ada@mail.io"] * 51}, 422, "validation_error"),
    ("no recipients", {**PLAIN, "to": []}, 422, "validation_error"),
    ("template and text", {**PLAIN, "template": {"id": "t"}}, 422, "validation_error"),
    ("template key", {**WITH_TEMPLATE, "template": {"id": "t", "values": {}}}, 422, "validation_error"),
    ("variables", {**WITH_TEMPLATE, "template": {"id": "t", "variables": {"a": []}}}, 422, "validation_error"),
    ("tag", {**PLAIN, "tags": [{"name": "a b", "value": "c"}]}, 422, "validation_error"),
    ("76 tags", {**PLAIN, "tags": [{"name": "a", "value": "b"}] * 76}, 422, "validation_error"),
    ("attachment", {**PLAIN, "attachments": [{"filename": "a"}]}, 422, "invalid_attachment"),
    ("header", {**PLAIN, "headers": {"X": 1}}, 422, "validation_error"),
    ("marked", {**PLAIN, "to": "rejected+7@resend.dev"}, 422, "validation_error"),
    ("no object", [PLAIN], 422, "validation_error"),
]


@pytest.mark.parametrize(
    ("payload", "status", "name"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
async def test_a_bad_mail_is_refused_in_the_vendors_form(api: Api, payload: Any, status: int, name: str) -> None:
    answered, error = await post(api, "/emails", payload)
    assert (answered, error["statusCode"], error["name"]) == (status, status, name)
    assert error.keys() == {"statusCode", "name", "message"}
    counted = await stats(api)
    assert (counted["accepted"], counted["refused"]) == (0, {name: 1})


async def test_a_refusal_names_the_unknown_key(api: Api) -> None:
    _, error = await post(api, "/emails", {**PLAIN, "replyTo": "x"})
    assert "`replyTo`" in error["message"]


@pytest.mark.parametrize(
    "batch",
    [[], [PLAIN] * 101, PLAIN, [{**PLAIN, "attachments": []}], [{**PLAIN, "scheduled_at": "2030-01-01T00:00:00Z"}]],
    ids=["empty", "101", "object", "attachments", "scheduled"],
)
async def test_a_bad_batch_is_refused_whole(api: Api, batch: Any) -> None:
    assert (await post(api, "/emails/batch", batch))[0] == 422
    assert (await stats(api))["accepted"] == 0


async def test_a_strict_batch_is_all_or_nothing_and_a_permissive_one_is_not(api: Api) -> None:
    batch = [PLAIN, {**PLAIN, "to": "nobody"}, PLAIN]
    assert (await post(api, "/emails/batch", batch))[0] == 422
    status, answer = await post(api, "/emails/batch", batch, **{"x-batch-validation": "permissive"})
    assert (status, len(answer["data"]), [problem["index"] for problem in answer["errors"]]) == (200, 2, [1])
    assert (await stats(api))["accepted"] == 2
    assert (await post(api, "/emails/batch", [PLAIN], **{"x-batch-validation": "lax"}))[0] == 422


async def test_a_template_and_a_schedule_are_accepted(api: Api) -> None:
    _, sent = await post(api, "/emails", {**WITH_TEMPLATE, "scheduled_at": "2999-01-01T00:00:00Z"})
    assert (await get(api, f"/emails/{sent['id']}"))[1]["last_event"] == "scheduled"


async def test_a_body_that_is_no_json_is_refused(api: Api) -> None:
    async with api.post("/emails", data=b"{") as response:
        assert (response.status, (await response.json())["name"]) == (400, "validation_error")


async def test_a_replay_answers_the_same_and_sends_nothing(api: Api) -> None:
    first = await post(api, "/emails/batch", [PLAIN], key="k")
    assert await post(api, "/emails/batch", [PLAIN], key="k") == first
    counted = await stats(api)
    assert (counted["accepted"], counted["replays"], counted["most_requests_per_key"]) == (1, 1, 2)


async def test_the_same_meaning_in_other_bytes_is_a_replay_and_shows_in_the_keys(api: Api) -> None:
    first = await post(api, "/emails", PLAIN, key="k")
    turned = json.dumps(dict(reversed(PLAIN.items())), indent=2)
    async with api.post("/emails", data=turned, headers={"Idempotency-Key": "k"}) as response:
        assert (response.status, await response.json()) == first
    (use,) = (await get(api, "/stats/keys"))[1]
    assert (use["key"], use["requests"], use["distinct_bodies"], use["accepted"]) == ("k", 2, 2, 1)


async def test_another_payload_under_the_same_key_is_refused(api: Api) -> None:
    await post(api, "/emails", PLAIN, key="k")
    status, error = await post(api, "/emails", {**PLAIN, "subject": "Other"}, key="k")
    assert (status, error["name"]) == (409, "invalid_idempotent_request")


async def test_an_unknown_mail_is_not_found(api: Api) -> None:
    status, error = await get(api, "/emails/0b9d")
    assert (status, error["name"]) == (404, "not_found")


async def test_a_key_belongs_to_one_account(api: Api) -> None:
    _, ours = await post(api, "/emails", PLAIN, key="k")
    status, theirs = await post(api, "/emails", {**PLAIN, "text": "x"}, key="k", Authorization="Bearer re_other")
    assert status == 200
    assert theirs["id"] != ours["id"]
    async with api.get(f"/emails/{theirs['id']}") as response:
        assert response.status == 404


async def test_a_refused_request_leaves_the_key_free(api: Api) -> None:
    assert (await post(api, "/emails", {**PLAIN, "to": "nobody"}, key="k"))[0] == 422
    await post(api, "/faults", {"vendor": "resend", "kind": "server_error", "count": 1})
    assert (await post(api, "/emails", PLAIN, key="k"))[0] == 500
    assert (await post(api, "/emails", {**PLAIN, "subject": "Other"}, key="k"))[0] == 200


async def test_a_request_that_fails_while_it_holds_the_key_gives_it_back(api: Api) -> None:
    assert (await post(api, "/emails", {**PLAIN, "to": "server-error+1@resend.dev"}, key="k"))[0] == 500
    assert (await post(api, "/emails", PLAIN, key="k"))[0] == 200


async def test_a_key_is_free_again_after_24_hours() -> None:
    clock = Clock()
    api = await opened(Options(clock=clock))
    first = await post(api, "/emails", PLAIN, key="k")
    clock.now += 24 * 3600 - 1
    assert await post(api, "/emails", PLAIN, key="k") == first
    clock.now += 1
    assert (await post(api, "/emails", PLAIN, key="k"))[1] != first[1]
    await api.close()


async def test_a_running_key_is_refused_until_it_is_done() -> None:
    api = await opened(Options(latency_seconds=2))
    first = asyncio.create_task(post(api, "/emails", PLAIN, key="k"))
    while not (await get(api, "/stats/keys"))[1]:
        pass
    status, error = await post(api, "/emails", PLAIN, key="k")
    assert (status, error["name"]) == (409, "concurrent_idempotent_requests")
    assert (await first)[0] == 200
    assert await post(api, "/emails", PLAIN, key="k") == await first
    assert (await stats(api))["accepted"] == 1
    await api.close()


@pytest.mark.parametrize("key", ["", "k" * 257], ids=["empty", "257"])
async def test_a_key_has_1_to_256_characters(api: Api, key: str) -> None:
    status, error = await post(api, "/emails", PLAIN, key=key)
    assert (status, error["name"]) == (400, "invalid_idempotency_key")
    assert (await post(api, "/emails", PLAIN, key="k" * 256))[0] == 200


async def test_a_lost_answer_is_found_by_the_same_key(api: Api) -> None:
    await post(api, "/faults", {"vendor": "resend", "kind": "accept_then_drop", "count": 1})
    with pytest.raises(ServerDisconnectedError):
        await post(api, "/emails", PLAIN, key="k")
    status, answer = await post(api, "/emails", PLAIN, key="k")
    assert (status, (await get(api, "/emails"))[1]["data"][0]["id"]) == (200, answer["id"])
    counted = await stats(api)
    assert (counted["accepted"], counted["duplicates"], counted["replays"]) == (1, 0, 1)


@pytest.mark.parametrize(
    ("headers", "status", "name"),
    [({}, 401, "missing_api_key"), ({"Authorization": "Bearer revoked_1"}, 403, "invalid_api_key")],
    ids=["missing", "revoked"],
)
async def test_a_key_that_is_missing_or_revoked_is_refused(
    api: Api, headers: dict[str, str], status: int, name: str
) -> None:
    async with ClientSession() as session, session.post(api.make_url("/emails"), json=PLAIN, headers=headers) as answer:
        assert (answer.status, (await answer.json())["name"]) == (status, name)


async def test_the_rate_limit_answers_with_the_vendors_headers() -> None:
    api = await opened(Options(limits={"resend": Limit(2.0, 2)}, clock=Clock()))
    async with api.post("/emails", json=PLAIN) as response:
        assert (response.status, response.headers["ratelimit-remaining"]) == (200, "1")
    await post(api, "/emails", PLAIN)
    async with api.post("/emails", json=PLAIN) as response:
        assert (response.status, (await response.json())["name"]) == (429, "rate_limit_exceeded")
        names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after")
        assert [response.headers[name] for name in names] == ["2", "0", "1", "1"]
    assert (await post(api, "/emails", PLAIN, Authorization="Bearer re_other"))[0] == 200
    await api.close()


@pytest.mark.parametrize(
    ("to", "last_event"),
    [
        ("ada@mail.io", "delivered"),
        ("delivered@resend.dev", "delivered"),
        ("bounced@resend.dev", "bounced"),
        ("bounced+17@resend.dev", "bounced"),
        ("Ada <complained+x@resend.dev>", "complained"),
        ("suppressed@resend.dev", "suppressed"),
    ],
)
async def test_test_addresses_are_accepted_and_end_as_they_say(api: Api, to: str, last_event: str) -> None:
    _, sent = await post(api, "/emails", {**PLAIN, "to": to})
    assert (await get(api, f"/emails/{sent['id']}"))[1]["last_event"] == last_event


async def test_a_mail_is_sent_before_it_is_delivered() -> None:
    clock = Clock()
    api = await opened(Options(clock=clock, settle_seconds=5))
    _, sent = await post(api, "/emails", PLAIN)
    assert (await get(api, f"/emails/{sent['id']}"))[1]["last_event"] == "sent"
    clock.now += 5
    assert (await get(api, f"/emails/{sent['id']}"))[1]["last_event"] == "delivered"
    await api.close()


async def test_the_vendors_sdk_reads_every_answer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resend, "api_key", "re_sdk")
    monkeypatch.setattr(resend, "api_url", str(api.make_url("")).rstrip("/"))
    in_thread: Callable[..., Any] = asyncio.to_thread

    sent = await in_thread(resend.Emails.send, PLAIN, {"idempotency_key": "sdk"})
    assert await in_thread(resend.Emails.send, PLAIN, {"idempotency_key": "sdk"}) == sent
    assert (await in_thread(resend.Emails.get, sent["id"]))["subject"] == "Hello"

    options = {"idempotency_key": "sdk-batch", "batch_validation": "permissive"}
    batch = await in_thread(resend.Batch.send, [PLAIN, {**PLAIN, "to": "nobody"}], options)
    assert (len(batch["data"]), [error["index"] for error in batch["errors"]]) == (1, [1])

    with pytest.raises(resend.exceptions.ResendError) as refused:
        await in_thread(resend.Emails.send, {**PLAIN, "subject": "Other"}, {"idempotency_key": "sdk"})
    assert (refused.value.code, refused.value.error_type) == (409, "invalid_idempotent_request")
