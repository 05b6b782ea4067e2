"""Whoever the simulator calls back, and the simulator's doors for it, in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDictProxy

from simulator.app import create_app
from simulator.simulation import Options
from tests.vendors import PATIENT_SECONDS

Api = TestClient[web.Request, web.Application]


@dataclass
class Receiver:
    """What was called: in order of arrival."""

    url: str = ""
    status: int = 204
    bodies: list[bytes] = field(default_factory=list)
    headers: list[CIMultiDictProxy[str]] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.Response:
        """Keep one request and answer it."""
        self.bodies.append(await request.read())
        self.headers.append(request.headers)
        return web.Response(status=self.status)

    @property
    def forms(self) -> list[dict[str, str]]:
        """The bodies as forms."""
        return [dict(parse_qsl(body.decode(), keep_blank_values=True)) for body in self.bodies]

    @property
    def said(self) -> list[Any]:
        """The bodies as JSON."""
        return [orjson.loads(body) for body in self.bodies]


@asynccontextmanager
async def opened(options: Options, **headers: str) -> AsyncIterator[Api]:
    """Run a simulator."""
    async with TestClient(TestServer(create_app(options)), headers=headers) as client:
        yield client


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Run somebody to be called."""
    one = Receiver()
    app = web.Application()
    app.router.add_post("/hook", one.receive)
    async with TestServer(app) as server:
        one.url = str(server.make_url("/hook"))
        yield one


async def order(api: Api, **order: Any) -> None:
    """Order callbacks."""
    async with api.post("/callbacks", json=order) as answer:
        assert answer.status == 200, await answer.text()


async def hook(api: Api, **hook: Any) -> None:
    """Register an address."""
    async with api.post("/hooks", json=hook) as answer:
        assert answer.status == 201, await answer.text()


async def counts(api: Api) -> Any:
    """What became of the callbacks."""
    async with api.get("/callbacks") as answer:
        return (await answer.json())["counts"]


async def truth(api: Api) -> list[Any]:
    """What really became of the sends."""
    async with api.get("/stats/truth") as answer:
        return [orjson.loads(line) for line in (await answer.text()).splitlines()]


async def until_counted(api: Api, total: int, *names: str) -> Any:
    """Wait until so many callbacks have these ends, by default any; return the counts."""
    names = names or ("sent", "lost", "refused", "given_up")
    async with asyncio.timeout(PATIENT_SECONDS):
        while True:
            found = await counts(api)
            if sum(found.get(name, 0) for name in names) >= total:
                return found
            await asyncio.sleep(0.01)
