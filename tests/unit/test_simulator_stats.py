"""What the simulator counts, and how a test reads it."""

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from simulator.app import create_app

Api = TestClient[web.Request, web.Application]

MAIL = {"from": "hello@acme.io", "to": "ada@mail.io", "subject": "Hello", "html": "<p>Hello</p>"}
TAGS = [{"name": "attempt", "value": "0b9d"}]


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with TestClient(TestServer(create_app()), headers={"Authorization": "Bearer re_acme"}) as client:
        yield client


async def get(api: Api, path: str) -> Any:
    async with api.get(path) as response:
        return await response.json()


async def send(api: Api, **fields: Any) -> None:
    async with api.post("/emails", json={**MAIL, **fields}) as response:
        assert response.status == 200


async def accepted(api: Api, query: str = "") -> list[Any]:
    async with api.get(f"/stats/accepted{query}") as response:
        assert response.content_type == "application/x-ndjson"
        return [json.loads(line) async for line in response.content]


async def test_the_same_content_to_the_same_recipient_is_a_duplicate(api: Api) -> None:
    await send(api)
    await send(api, tags=TAGS, headers={"X": "1"})
    await send(api, to="carl@mail.io")
    await send(api, subject="Hello again")
    counted = await get(api, "/stats")
    assert {key: counted["resend"][key] for key in ("requests", "accepted", "distinct", "duplicates")} == {
        "requests": 4,
        "accepted": 4,
        "distinct": 3,
        "duplicates": 1,
    }
    assert counted["totals"] == {"requests": 4, "accepted": 4, "distinct": 3, "duplicates": 1, "replays": 0}


async def test_every_accepted_send_is_listed_with_what_finds_it_again(api: Api) -> None:
    async with api.post("/emails", json={**MAIL, "tags": TAGS}, headers={"Idempotency-Key": "k"}) as response:
        sent = await response.json()
    (one,) = await accepted(api, "?vendor=resend")
    content = orjson.dumps({key: MAIL[key] for key in ("from", "html", "subject")}, option=orjson.OPT_SORT_KEYS)
    assert one.pop("at_wall_seconds") > one.pop("at_monotonic_seconds")
    assert one == {
        "vendor": "resend",
        "kind": "email",
        "account": hashlib.sha256(b"re_acme").hexdigest()[:12],
        "id": sent["id"],
        "recipient": "ada@mail.io",
        "content_sha256": hashlib.sha256(content).hexdigest(),
        "idempotency_key": "k",
        "tags": {"attempt": "0b9d"},
    }
    assert await accepted(api, "?vendor=twilio") == []
    assert await accepted(api) != []


async def test_many_accepted_sends_are_listed_in_order(api: Api) -> None:
    batch = [{**MAIL, "to": f"user{number}@mail.io"} for number in range(100)]
    for _ in range(12):
        async with api.post("/emails/batch", json=batch) as response:
            assert response.status == 200
    listed = await accepted(api)
    assert [one["recipient"] for one in listed] == [mail["to"] for mail in batch] * 12


async def test_an_unknown_vendor_has_no_list(api: Api) -> None:
    async with api.get("/stats/accepted?vendor=sendgrid") as response:
        assert response.status == 400


async def test_every_request_under_a_key_is_seen_even_where_a_fault_struck(api: Api) -> None:
    await api.post("/faults", json={"vendor": "resend", "kind": "server_error", "count": 1})
    for subject in ("One", "Two"):
        async with api.post("/emails", json={**MAIL, "subject": subject}, headers={"Idempotency-Key": "k"}) as response:
            await response.read()
    (use,) = await get(api, "/stats/keys")
    assert (use["requests"], use["distinct_bodies"], use["accepted"]) == (2, 2, 1)
    assert len(set(use["bodies_sha256"])) == 2


async def test_a_reset_forgets_sends_counts_and_keys_but_no_faults(api: Api) -> None:
    await api.post("/faults", json={"vendor": "twilio", "kind": "drop", "rate": 0.5})
    async with api.post("/emails", json=MAIL, headers={"Idempotency-Key": "k"}) as response:
        before = await response.json()
    async with api.delete("/stats") as response:
        assert response.status == 204
    assert (await get(api, "/stats"))["totals"]["requests"] == 0
    assert await accepted(api) == []
    assert await get(api, "/stats/keys") == []
    async with api.post("/emails", json=MAIL, headers={"Idempotency-Key": "k"}) as response:
        assert (await response.json())["id"] != before["id"]
    assert len(await get(api, "/faults")) == 1


async def test_a_long_body_is_counted_but_not_kept(api: Api) -> None:
    await send(api, html="x" * 501, text="short")
    (one,) = await accepted(api)
    shown = await get(api, f"/emails/{one['id']}")
    assert ("html" in shown, shown["text"]) == (False, "short")


async def test_several_recipients_of_one_mail_stay_one_send(api: Api) -> None:
    to = ["ada@mail.io", '"Doe, Jane" <jane@mail.io>']
    await send(api, to=to)
    (one,) = await accepted(api)
    assert one["recipient"] == ",".join(to)
    assert (await get(api, f"/emails/{one['id']}"))["to"] == to
