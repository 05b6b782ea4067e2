"""The fleet's own client against the simulator: what each fault comes to, and that no request is ever sent twice."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from providers.base import Accepted, Halted, Later, Outcome, Rejected, SendError, Unknown
from providers.client import BODY_LIMIT_BYTES, Client
from tests.samples import message_for
from tests.vendors import PATIENT_SECONDS, PROVIDERS, Vendors, account_of, message_of, request_of, simulated

MAIL = {"subject": "Hello", "text": "Hello"}
every_vendor = pytest.mark.parametrize("name", PROVIDERS)

Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def vendors() -> AsyncIterator[Vendors]:
    async with simulated() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    opened = Client(connections=2, timeout_seconds=PATIENT_SECONDS)
    yield opened
    await opened.close()


async def outcome_at(client: Client, url: str, name: str = "resend") -> Outcome:
    """Send one message to whatever listens at `url`."""
    request = request_of(name, message_for(name), account=account_of(name, url))
    try:
        (outcome,) = PROVIDERS[name].outcomes(request, await client.send(request))
    except SendError as error:
        return error
    return outcome


@asynccontextmanager
async def listening(connected: Connected) -> AsyncIterator[str]:
    """Run a server that is free to break the rules of HTTP; give its address."""
    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line)
    return head + await reader.readexactly(length)


@every_vendor
async def test_what_the_vendor_takes_is_accepted_with_its_id(vendors: Vendors, name: str) -> None:
    (outcome,) = await vendors.send(name, message_for(name))
    assert isinstance(outcome, Accepted)
    assert outcome.provider_message_id in outcome.answer.values()
    counted = await vendors.counts(name)
    assert (counted["requests"], counted["accepted"]) == (1, 1)


async def test_a_batch_is_one_request_and_each_of_its_mails_has_an_id(vendors: Vendors) -> None:
    batch = [message_of("email", MAIL, number=number) for number in range(100)]
    outcomes = await vendors.send("resend", *batch)
    assert len({outcome.provider_message_id for outcome in outcomes if isinstance(outcome, Accepted)}) == 100
    assert await vendors.send("resend", *batch) == outcomes, "a replay is answered as the first time"
    counted = await vendors.counts("resend")
    assert (counted["requests"], counted["accepted"], counted["replays"]) == (2, 100, 1)


@every_vendor
@pytest.mark.parametrize(
    ("fault", "kind", "accepted"),
    [
        ("too_many", Later, 0),
        ("server_error", Unknown, 0),
        ("server_error_after_accept", Unknown, 1),
        ("drop", Unknown, 0),
        ("accept_then_drop", Unknown, 1),
    ],
)
async def test_each_fault_comes_to_its_decision_after_one_request(
    vendors: Vendors, name: str, fault: str, kind: type[SendError], accepted: int
) -> None:
    await vendors.order(name, fault)
    (outcome,) = await vendors.send(name, message_for(name))
    assert type(outcome) is kind
    assert isinstance(outcome, SendError)
    assert outcome.code == "connection_lost" or outcome.http_status in {429, 500}
    counted = await vendors.counts(name)
    assert (counted["requests"], counted["accepted"]) == (1, accepted)


@pytest.mark.parametrize("name", ["resend", "twilio"])
async def test_a_vendors_wish_to_wait_arrives(vendors: Vendors, name: str) -> None:
    await vendors.order(name, "too_many", seconds=9)
    (outcome,) = await vendors.send(name, message_for(name))
    assert isinstance(outcome, Later)
    assert (outcome.after_seconds, outcome.counted) == (9.0, False)


@pytest.mark.parametrize(("name", "fault", "accepted"), [("twilio", "hang", 0), ("vapi", "accept_then_hang", 1)])
async def test_a_vendor_that_does_not_answer_in_time_is_unknown(name: str, fault: str, accepted: int) -> None:
    async with simulated(timeout_seconds=1.0) as vendors:
        await vendors.order(name, fault)
        (outcome,) = await vendors.send(name, message_for(name))
        assert isinstance(outcome, Unknown)
        assert outcome.code == "timeout"
        counted = await vendors.counts(name)
        assert (counted["requests"], counted["accepted"]) == (1, accepted)


@every_vendor
async def test_a_connection_that_the_vendor_breaks_while_it_is_kept_is_not_tried_again(
    vendors: Vendors, name: str
) -> None:
    (first,) = await vendors.send(name, message_for(name))
    assert isinstance(first, Accepted)
    await vendors.order(name, "drop")
    (second,) = await vendors.send(name, message_for(name))
    assert isinstance(second, Unknown)
    assert (await vendors.counts(name))["requests"] == 2
    (third,) = await vendors.send(name, message_for(name))
    assert isinstance(third, Accepted)


async def test_one_bad_mail_of_a_batch_is_refused_alone(vendors: Vendors) -> None:
    to = ("ada@mail.io", "ada@example.com", "carl@mail.io")
    batch = [message_of("email", MAIL, address, number=number) for number, address in enumerate(to)]
    outcomes = await vendors.send("resend", *batch)
    assert [type(outcome) for outcome in outcomes] == [Accepted, Rejected, Accepted]


async def test_a_batch_that_is_refused_as_a_whole_goes_again_one_by_one(vendors: Vendors) -> None:
    too_many = [message_of("email", MAIL, number=number) for number in range(101)]
    outcomes = await vendors.send("resend", *too_many)
    assert {(type(one), getattr(one, "code", "")) for one in outcomes} == {(Later, "batch_refused")}
    assert len(outcomes) == 101


async def test_a_key_that_is_running_or_was_used_for_something_else_tells_nothing(vendors: Vendors) -> None:
    await vendors.order("resend", "slow", seconds=0.3)
    both = await asyncio.gather(*(vendors.send("resend", message_for("resend")) for _ in range(2)))
    codes = {getattr(outcome, "code", "accepted") for (outcome,) in both}
    assert codes == {"accepted", "concurrent_idempotent_requests"}
    (other,) = await vendors.send("resend", message_of("email", {**MAIL, "text": "Goodbye"}))
    assert isinstance(other, Unknown)
    assert other.code == "invalid_idempotent_request"
    assert (await vendors.counts("resend"))["accepted"] == 1


async def test_nobody_listening_is_certainly_not_sent(client: Client) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        outcome = await outcome_at(client, f"http://127.0.0.1:{unheard.getsockname()[1]}")
    assert isinstance(outcome, Later)
    assert (outcome.code, outcome.counted, outcome.after_seconds) == ("not_connected", False, None)


async def test_no_handshake_is_certainly_not_sent(client: Client) -> None:
    received: list[bytes] = []

    async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(65_536))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with listening(no_tls) as url:
        outcome = await outcome_at(client, url.replace("http://", "https://"))
    assert isinstance(outcome, Later)
    assert b"Hello" not in received[0]


async def test_a_stale_connection_is_unknown_and_the_request_goes_once(client: Client) -> None:
    requests: list[bytes] = []

    async def forgetful(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the first request of a connection; at the second, act as if it had been closed long ago."""
        requests.append(await read_request(reader))
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"id":"1"}')
        requests.append(await read_request(reader))
        writer.close()

    async with listening(forgetful) as url:
        assert isinstance(await outcome_at(client, url), Accepted)
        outcome = await outcome_at(client, url)
    assert isinstance(outcome, Unknown)
    assert outcome.code == "connection_lost"
    assert len(requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"id":"1"}',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"SMTP ready\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\n\r\n" + b'{"id":"1","more":"' + b"x" * BODY_LIMIT_BYTES + b'"}',
    ],
    ids=["cut", "broken chunks", "broken gzip", "no http", "no json", "endless"],
)
async def test_an_answer_that_cannot_be_read_is_unknown(client: Client, answer: bytes) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        writer.close()

    async with listening(broken) as url:
        assert isinstance(await outcome_at(client, url), Unknown)


async def test_no_redirect_is_followed_and_no_cookie_is_kept(client: Client) -> None:
    seen: list[tuple[str, str | None]] = []

    async def moved(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers.get("Cookie")))
        headers = {"Location": "/elsewhere", "Set-Cookie": "session=1; Path=/"}
        return web.Response(status=307, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", moved)
    async with TestServer(app) as server:
        for _ in range(2):
            outcome = await outcome_at(client, str(server.make_url("/")).rstrip("/"))
            assert isinstance(outcome, Halted)
            assert outcome.code == "http_307"
    assert seen == [("/emails", None)] * 2
