"""The simulator in a thread of the test, which writes down each request with its time and its answer."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from urllib.parse import parse_qs

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from simulator.app import create_app


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request that sends, on one clock with all others."""

    recipients: tuple[str, ...]
    came_at: float
    answered_at: float
    status: int
    retry_after_seconds: float


@contextmanager
def recorded_simulator() -> Iterator[tuple[str, list[Arrival]]]:
    """Run a simulator; give its address and what arrived, which grows."""
    arrivals: list[Arrival] = []
    app = create_app()
    app.middlewares.append(_recorder(arrivals.append))
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(app)

    async def start() -> str:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        return f"http://{host}:{port}"

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(start(), loop).result(30), arrivals
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


def _recorder(note: Callable[[Arrival], None]) -> Middleware:
    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        came_at, body = monotonic(), await request.read()
        response = await handler(request)
        if request.method == "POST" and request.path != "/faults":
            waits = float(response.headers.get("Retry-After", 0))
            note(Arrival(_recipients(body), came_at, monotonic(), response.status, waits))
        return response

    return record


def _recipients(body: bytes) -> tuple[str, ...]:
    if body[:1] not in b"[{":
        return tuple(parse_qs(body.decode())["To"])
    mails = orjson.loads(body)
    return tuple(str(mail["to"]) for mail in (mails if isinstance(mails, list) else [mails]))
