"""The simulator as a process of its own: where it listens, how it says so, and how it ends."""

import asyncio
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout

Start = Callable[..., Awaitable[tuple[Process, str]]]

MAIL = {"from": "hello@acme.io", "to": "ada@mail.io", "subject": "Hello", "text": "Hello"}
AUTHORIZED = {"Authorization": "Bearer re_acme"}
LINE = re.compile(rb"simulator listening on (http://(?:127\.0\.0\.1|\[::1\]):\d+)\n")


async def until(session: ClientSession, url: str, condition: Callable[[Any], bool]) -> None:
    """Ask until Resend's counts are as wanted; each question gives the simulator its turn."""
    async with asyncio.timeout(60):
        met = False
        while not met:
            async with session.get(f"{url}/stats") as response:
                met = condition((await response.json())["resend"])


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    processes: list[Process] = []

    async def starting(*arguments: str) -> tuple[Process, str]:
        command = (sys.executable, "-m", "simulator", "--port", "0", *arguments)
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        processes.append(process)
        assert process.stdout is not None
        line = LINE.fullmatch(await asyncio.wait_for(process.stdout.readline(), 60))
        assert line is not None
        return process, line[1].decode()

    yield starting
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly_even_while_requests_hang(start: Start, number: signal.Signals) -> None:
    process, url = await start()
    async with ClientSession(headers=AUTHORIZED) as session:
        await session.post(f"{url}/faults", json={"vendor": "resend", "kind": "hang", "count": 1, "seconds": 600})
        hanging = asyncio.create_task(session.post(f"{url}/emails", json=MAIL).__aenter__())
        await until(session, url, lambda stats: stats["faults"] == {"hang": 1})
        began = monotonic()
        process.send_signal(number)
        output, errors = await asyncio.wait_for(process.communicate(), 60)
        assert monotonic() - began < 5
        with pytest.raises(ClientError):
            await hanging
    assert (process.returncode, output, errors) == (0, b"", b"")


async def test_a_request_whose_caller_left_is_still_accepted(start: Start) -> None:
    _, url = await start()
    async with ClientSession(headers=AUTHORIZED) as session:
        fault = {"vendor": "resend", "kind": "slow", "count": 1, "seconds": 0.5}
        await session.post(f"{url}/faults", json=fault)
        with pytest.raises(TimeoutError):
            await session.post(f"{url}/emails", json=MAIL, timeout=ClientTimeout(total=0.1))
        await until(session, url, lambda stats: stats["accepted"] == 1)


async def test_it_ends_with_the_pipe_of_its_parent(start: Start) -> None:
    process, url = await start("--die-with-parent")
    async with ClientSession() as session, session.get(f"{url}/stats") as response:
        assert response.status == 200
    assert process.stdin is not None
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_the_arguments_reach_the_vendors(start: Start) -> None:
    _, url = await start("--limit", "resend=0.001:1", "--latency-ms", "50", "--settle-seconds", "0", "--seed", "7")
    async with ClientSession(headers=AUTHORIZED) as session:
        began = monotonic()
        async with session.post(f"{url}/emails", json=MAIL) as response:
            assert (response.status, response.headers["ratelimit-limit"]) == (200, "1")
        assert monotonic() - began >= 0.05
        async with session.post(f"{url}/emails", json=MAIL) as response:
            assert response.status == 429


async def test_it_says_so_when_the_port_is_taken(start: Start) -> None:
    _, url = await start()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulator", "--port", url.rpartition(":")[2], stdout=PIPE, stderr=PIPE
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, output) == (1, b"")
    assert errors.startswith(b"simulator: ")
    assert b"Traceback" not in errors


async def test_it_listens_on_the_other_loopback_address_too(start: Start) -> None:
    _, url = await start("--host", "::1")
    assert url.startswith("http://[::1]:")


@pytest.mark.parametrize(
    "arguments",
    [("--host", "0.0.0.0"), ("--host", "acme.io"), ("--limit", "resend"), ("--limit", "sendgrid=5"), ("--port", "x")],
)
async def test_it_refuses_what_it_must_not_do(arguments: tuple[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulator", "--port", "0", *arguments, stdout=PIPE, stderr=PIPE
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, output) == (2, b"")
    assert arguments[0].encode() in errors
