"""A bundle of look-ups asks several at once, asks nothing twice, and lets no recipient cost another its look."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from config.channels import Channel
from providers.base import Later, Request, Response
from providers.lookup import Page, Question
from tests.factories import column_of, status_of, travel
from tests.integration.conftest import Vendors, deliver
from tests.integration.test_reconcile import look, one
from workers import reconcile
from workers.reconcile import AT_ONCE, BUSY_SECONDS
from workers.runtime import Runtime

MESSAGES = 3 * AT_ONCE
PAGES = 2
"""Of Vapi's list, for so many."""
PATIENCE_SECONDS = 60

Sending = Callable[[Request], Awaitable[Response]]


async def unknown(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, provider: str, channel: Channel, count: int = MESSAGES
) -> list[UUID]:
    """Bring messages to `unknown` that the vendor took, each to a number of its own, and let their look be due."""
    ids = [one(owner, provider, channel, recipient_phone=f"+1415555{1000 + number}") for number in range(count)]
    await vendors.fault(vendor=provider, kind="accept_then_drop", count=count)
    await deliver(worker, channel)
    assert {status_of(owner, id_) for id_ in ids} == {"unknown"}
    travel(owner, 61)
    return ids


def watched(worker: Runtime, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[int]]:
    """The addresses that the worker asks from now on, and how many requests are under way at each.

    A request to Twilio leaves when as many wait as may be under way at once.
    """
    together = asyncio.Barrier(AT_ONCE)
    urls: list[str] = []
    at_once: list[int] = []
    send: Sending = worker.client.send

    async def spied(request: Request) -> Response:
        urls.append(request.url)
        at_once.append(worker.budget.in_flight)
        if "Messages" in request.url:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await together.wait()
        return await send(request)

    monkeypatch.setattr(worker.client, "send", spied)
    return urls, at_once


async def test_a_few_are_asked_at_once_and_all_are_found(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await unknown(worker, vendors, owner, "twilio", Channel.SMS)
    urls, at_once = watched(worker, monkeypatch)

    assert await look(worker) == MESSAGES

    assert {status_of(owner, id_) for id_ in ids} == {"sent"}
    assert len({column_of(owner, id_, "provider_message_id") for id_ in ids}) == MESSAGES
    assert (len(urls), max(at_once), worker.budget.in_flight) == (MESSAGES, AT_ONCE, 0)


async def test_a_list_of_the_whole_account_is_read_once(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await unknown(worker, vendors, owner, "vapi", Channel.VOICE)
    urls, _ = watched(worker, monkeypatch)

    await look(worker)

    assert {status_of(owner, id_) for id_ in ids} == {"sent"}
    assert len(urls) == PAGES


async def test_a_vendor_that_asks_for_patience_is_left_alone(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await unknown(worker, vendors, owner, "twilio", Channel.SMS)
    asked: list[str] = []

    async def refuses(request: Request) -> Response:
        asked.append(request.url)
        await asyncio.sleep(0)
        raise Later("429", "too many requests", http_status=429, after_seconds=600)

    with monkeypatch.context() as slowed:
        slowed.setattr(worker.client, "send", refuses)
        await look(worker)
        assert len(asked) <= AT_ONCE
        travel(owner, 61 + 599)
        assert await look(worker) == 0
    travel(owner, 61 + 602)
    await worker.breaker.flush()
    assert await look(worker) == MESSAGES, "they are due, and the account still rests by the clock of Redis"
    assert {status_of(owner, id_) for id_ in ids} == {"unknown"}


async def test_what_there_was_no_time_for_is_put_off(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await unknown(worker, vendors, owner, "twilio", Channel.SMS)
    with monkeypatch.context() as hurried:
        hurried.setattr(reconcile, "BUNDLE_SECONDS", 0.0)
        assert await look(worker) == MESSAGES
    assert {status_of(owner, id_) for id_ in ids} == {"unknown"}
    travel(owner, 61 + BUSY_SECONDS + 1)
    assert await look(worker) == MESSAGES
    assert {status_of(owner, id_) for id_ in ids} == {"sent"}


async def test_a_second_bundle_of_the_channel_is_put_off_and_no_other_channels(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    (text,) = await unknown(worker, vendors, owner, "twilio", Channel.SMS, count=1)
    travel(owner, 0)
    (call,) = await unknown(worker, vendors, owner, "vapi", Channel.VOICE, count=1)
    worker.looking.add(Channel.SMS)
    await look(worker)
    assert (status_of(owner, text), status_of(owner, call)) == ("unknown", "sent")
    assert worker.looking == {Channel.SMS}


async def test_a_record_that_breaks_our_reading_costs_the_others_nothing(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await unknown(worker, vendors, owner, "twilio", Channel.SMS)
    bad = column_of(owner, ids[0], "recipient_phone")
    read: Any = worker.providers["twilio"].lookup_page

    def broken(question: Question, response: Response) -> Page:
        if question.address == bad:
            raise RuntimeError("a bug")
        page: Page = read(question, response)
        return page

    monkeypatch.setattr(worker.providers["twilio"], "lookup_page", broken)
    await look(worker)
    assert [status_of(owner, id_) for id_ in ids] == ["unknown"] + ["sent"] * (MESSAGES - 1)
    assert worker.looking == set()
