"""The fence before a request: where it stands, and that nothing gets between it and the send."""

import asyncio
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from dramatiq.asyncio import get_event_loop_thread, set_event_loop_thread

from config.channels import Channel
from config.settings import load
from outbox.settlements import Ended, Settlement
from providers.base import Later, Request, Response
from providers.client import Client
from tests.vendors import account_of, message_of, request_of
from workers import fence
from workers.actors import DaemonLoop
from workers.budget import Budget
from workers.flight import LiveBatch, Sender
from workers.lease import Lease
from workers.outcomes import Flight
from workers.pauses import Pauses
from workers.supervisor import ended_by_itself

PATIENT_SECONDS = 20
ROUNDS = 200
_SLEEPS_WITH_PYTHON_LOCKED = """
import asyncio, ctypes, threading
from workers import fence
fence.install()
took = threading.Event()
def take():
    asyncio.run(fence.take_in_this_thread())
    took.set()
    threading.Event().wait()
if {unblocks}:
    threading.Thread(target=take).start()
    took.wait()
print("ready", flush=True)
ctypes.PyDLL(None).sleep(600)  # keeps the interpreter's lock: no line of Python runs in any thread
"""


@contextmanager
def _locked_up(*, unblocks: bool) -> Iterator["subprocess.Popen[str]"]:
    program = [sys.executable, "-c", _SLEEPS_WITH_PYTHON_LOCKED.format(unblocks=unblocks)]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(program, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_it_ends_a_continued_process_in_which_no_python_can_run() -> None:
    with _locked_up(unblocks=True) as process:
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGCONT)
        assert process.wait(PATIENT_SECONDS) == fence.EXIT_CODE


def test_the_signal_waits_for_the_thread_that_takes_it() -> None:
    with _locked_up(unblocks=False) as process:
        process.send_signal(signal.SIGCONT)
        pending = Path(f"/proc/{process.pid}/status").read_text().partition("ShdPnd:\t")[2][:16]
        assert int(pending, 16) == 1 << (signal.SIGCONT - 1)
        assert process.poll() is None


@pytest.mark.parametrize(
    ("code", "lived_seconds", "expected"),
    [(1, 2, True), (1, 61, False), (-9, 2, False), (fence.EXIT_CODE, 2, False)],
)
def test_a_child_that_the_fence_ended_did_not_crash(code: int, lived_seconds: float, expected: bool) -> None:
    assert ended_by_itself(code, lived_seconds) is expected


def test_the_loop_is_asyncios_own() -> None:
    """Its transports write at once; uvloop's write at the end of the turn, long after the check."""
    before = get_event_loop_thread()
    loops = DaemonLoop()
    loops.logger = logging.getLogger(__name__)
    try:
        loops.before_worker_boot(cast("Any", None), cast("Any", None))
        thread = get_event_loop_thread()
        assert thread
        assert type(thread.loop) is asyncio.SelectorEventLoop
        cast("Any", loops).after_worker_shutdown(None, None)
    finally:
        set_event_loop_thread(before)


@pytest.mark.parametrize("lease_seconds", [1, 2, 4, 10, 60, 61, 3600])
def test_a_request_ends_before_its_lease(lease_seconds: float) -> None:
    settings = load({"FLEET_LEASE_SECONDS": str(lease_seconds)})
    lease = Lease(settings.lease_seconds, settings.lease_margin_seconds, clock=lambda: 0.0)
    begins_before = lease.deadline - settings.lease_seconds / 4
    assert begins_before > 0, "there is time to begin at all"
    assert begins_before + settings.request_timeout_seconds <= lease.deadline < lease_seconds


@pytest.mark.parametrize("lease_seconds", [2, 60])
async def test_the_timeout_is_what_the_settings_say(lease_seconds: int) -> None:
    seconds = load({"FLEET_LEASE_SECONDS": str(lease_seconds)}).request_timeout_seconds
    client = Client(connections=1, timeout_seconds=seconds)
    timeout = client._session.timeout
    assert timeout.total == seconds
    assert timeout.ceil_threshold >= seconds, "it is not rounded up"
    await client.close()


class _Recorder:
    """Stands for the client and the flusher: what was sent, and whether the loop had turned since the check."""

    def __init__(self) -> None:
        self.turned = False
        self.sent_after_a_turn: list[bool] = []
        self.settled: list[Settlement] = []

    def clock(self) -> float:
        self.turned = False
        asyncio.get_running_loop().call_soon(setattr, self, "turned", True)
        return self.now

    now = 0.0

    async def send(self, _request: Request) -> Response:
        self.sent_after_a_turn.append(self.turned)
        return Response(201, {}, b'{"sid": "SM1", "status": "queued"}')

    def add(self, settlements: list[Settlement], _ended: Ended | None) -> None:
        self.settled += settlements

    def note(self, *_: Any, **__: Any) -> None:
        """Nothing is learnt of the vendor."""


@pytest.mark.parametrize(("late_seconds", "sent"), [(0.0, 1), (44.9, 1), (45.1, 0), (100.0, 0)])
async def test_nothing_is_awaited_between_the_check_and_the_send(late_seconds: float, sent: int) -> None:
    recorder = _Recorder()
    vendor: Any = recorder
    sender = Sender(vendor, Budget(1), vendor, accounts=vendor, breaker=vendor, pauses=Pauses(vendor))
    message = message_of("sms", {"body": "Hello"})
    account = account_of("twilio")
    await sender._budget.take(1)
    lease = Lease(60.0, 0.0, clock=recorder.clock)
    recorder.now = late_seconds

    provider = SimpleNamespace(
        name="twilio", outcomes=lambda _request, _response: [Later("busy", "try later", after_seconds=1)]
    )
    flight = Flight(uuid4(), Channel.SMS, lease, account, cast("Any", None))
    sender.launch(LiveBatch(flight, cast("Any", provider), [request_of("twilio", message, account=account)], {}))
    await sender.drained()

    assert recorder.sent_after_a_turn == [False] * sent
    assert sender._budget.in_flight == 0


@pytest.mark.parametrize(("connections", "waits"), [(8, False), (4, True)])
async def test_under_the_budget_no_request_waits_for_a_connection(connections: int, waits: bool) -> None:
    budget, waited = Budget(8), 0

    async def count(*_: Any) -> None:
        nonlocal waited
        waited += 1

    async def answer(_request: web.Request) -> web.Response:
        return web.Response()

    application = web.Application()
    application.router.add_post("/", answer)
    trace = aiohttp.TraceConfig()
    trace.on_connection_queued_start.append(count)
    trace.freeze()
    async with TestServer(application) as server:
        client = Client(connections=connections, timeout_seconds=PATIENT_SECONDS)
        client._session.trace_configs.append(trace)
        request = Request(str(server.make_url("/")), {}, b"x", (), "POST")

        async def send() -> None:
            await budget.take(1)
            try:
                await client.send(request)
            finally:
                budget.give_back(1)

        await asyncio.gather(*(send() for _ in range(ROUNDS)))
        await client.close()
    assert (waited > 0) is waits
