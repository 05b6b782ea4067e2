"""A sending process without Dramatiq: the runtime on the test's own loop, against the real simulator."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import redis
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from config.catalog import CATALOG
from config.channels import Channel
from config.servers import Addresses
from config.settings import load_together
from providers import registry
from simulator.app import create_app
from simulator.simulation import Options
from tests.started import claimed
from workers.runtime import Runtime, open_runtime
from workers.send import send_bundle


@dataclass(frozen=True)
class Vendors:
    """The simulator, and what it counted."""

    url: str
    session: ClientSession

    async def stats(self) -> dict[str, Any]:
        async with self.session.get(f"{self.url}/stats") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def accepted(self) -> list[dict[str, Any]]:
        async with self.session.get(f"{self.url}/stats/accepted") as answer:
            return [orjson.loads(line) for line in (await answer.text()).splitlines() if line]

    async def keys(self) -> list[dict[str, Any]]:
        async with self.session.get(f"{self.url}/stats/keys") as answer:
            found: list[dict[str, Any]] = await answer.json()
            return found

    async def fault(self, **order: Any) -> None:
        async with self.session.post(f"{self.url}/faults", json=order) as answer:
            assert answer.status == 201, await answer.text()


@pytest.fixture
async def vendors() -> AsyncIterator[Vendors]:
    server = TestServer(create_app(Options()))
    await server.start_server()
    async with ClientSession() as session:
        yield Vendors(str(server.make_url("")).rstrip("/"), session)
    await server.close()


Open = Callable[..., Any]


@pytest.fixture
async def open_worker(ledger: Any, database_url: str, redis_url: str, vendors: Vendors) -> AsyncIterator[Open]:
    """Opens runtimes; each keyword is an environment variable."""
    opened: list[Runtime] = []

    async def open_(**environment: str) -> Runtime:
        providers = registry.load()
        addresses = {facts.url_variable: vendors.url for facts in CATALOG.values()}
        settings, of_vendors = load_together(
            {**addresses, **environment}, [provider.environment for provider in providers.values()]
        )
        runtime = await open_runtime(
            settings, dict(zip(providers, of_vendors, strict=True)), Addresses(database_url, redis_url), ["email"]
        )
        opened.append(runtime)
        return runtime

    yield open_
    for runtime in opened:
        await runtime.close()


@pytest.fixture
async def worker(open_worker: Open) -> Runtime:
    """A sending process that retries within a second."""
    runtime: Runtime = await open_worker(FLEET_RETRY_BASE_SECONDS="1")
    return runtime


def end_of_pauses(worker: Runtime, redis_url: str) -> None:
    """Let every pause that a vendor asked for, and that was reported, be over.

    `travel` moves the ledger's clock, and not that of Redis.
    """
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter("fleet:breaker:*"):
            client.delete(key)
    worker.breaker._known.clear()


async def deliver(worker: Runtime, channel: Channel = Channel.EMAIL) -> None:
    """Claim everything that is due on a channel, send it, and wait until every outcome is in the ledger."""
    token, ids = await claimed(worker.pool, channel)
    await send_bundle(worker, channel, token, ids)
    await worker.settled()
