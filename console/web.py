"""The web application, `uvicorn console.web:app`: probes, figures, the vendors' callbacks, pages to unsubscribe.

`/livez` says that this process answers, `/readyz` that its servers do and that the schema is the one it needs.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import redis
from psycopg_pool import PoolTimeout
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from admission.accounts import Accounts
from admission.open_breakers import open_breakers
from admission.unsubscribe import PATH, Links
from config import log, sentry, servers
from config.broker import Broker
from config.catalog import served_channels
from config.channels import EVENTS_QUEUE, JOBS_QUEUE
from config.database import Pool, pool
from config.settings import Settings, VendorSettings, load_together
from console.metrics import exposition
from console.unsubscribe import Desk, unsubscribe
from console.webhooks import Door, open_door, webhook
from outbox.overview import overview
from outbox.readiness import NotReady, check
from providers import registry
from providers.base import Provider
from providers.receivers import all_doors

CHECK_SECONDS = 3.0
FIGURES_SECONDS = 5.0
"""For how long figures are handed out again: two scrapers cost as much as one."""


class State:
    """What the routes work with, made when the application starts."""

    def __init__(self, settings: Settings, database_url: str, database: Pool, broker: Broker, door: Door) -> None:
        self.settings = settings
        self.door = door
        self.database_url = database_url
        self.database = database
        self.broker = broker
        self.figures: tuple[float, bytes] = (0.0, b"")


async def livez(_request: Request) -> Response:
    """Answer without asking anybody."""
    return PlainTextResponse("ok")


async def readyz(request: Request) -> Response:
    """Ask the servers; 503 with the reasons where one does not answer or the schema is behind."""
    state: State = request.app.state.fleet
    checks = {"database": _database(state), "redis": _redis(state)}
    results = dict(zip(checks, await asyncio.gather(*checks.values()), strict=True))
    ready = all(result == "ok" for result in results.values())
    return JSONResponse({"ready": ready, **results}, status_code=200 if ready else 503)


async def metrics(request: Request) -> Response:
    """Hand out the figures; 503 where a server is away."""
    state: State = request.app.state.fleet
    read_at, figures = state.figures
    if time.monotonic() - read_at > FIGURES_SECONDS or not figures:
        try:
            queues = [*sorted(served_channels()), EVENTS_QUEUE, JOBS_QUEUE]
            waiting = await asyncio.to_thread(state.broker.lengths, queues)
            breakers = await asyncio.to_thread(open_breakers, state.broker.client)
            figures = exposition(await overview(state.database), waiting, breakers)
        except (psycopg.Error, PoolTimeout, redis.RedisError) as error:
            return PlainTextResponse(f"{type(error).__name__}\n", status_code=503)
        state.figures = (time.monotonic(), figures)
    return Response(figures, media_type="text/plain; version=0.0.4; charset=utf-8")


async def _database(state: State) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check(state.settings, state.database_url, sending=True)
    except NotReady as why:
        return str(why)
    except (psycopg.Error, TimeoutError) as error:
        return f"away: {type(error).__name__}"
    return "ok"


async def _redis(state: State) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await asyncio.to_thread(state.broker.client.ping)
    except (redis.RedisError, TimeoutError) as error:
        return f"away: {type(error).__name__}"
    return "ok"


@asynccontextmanager
async def _open(app: Starlette) -> AsyncIterator[None]:
    providers = registry.load()
    settings, of_vendors = load_together(vendors=[provider.environment for provider in providers.values()])
    log.configure(settings.log_level, settings.log_format, process="web")
    sentry.configure(settings, "web")
    with servers.resolve(settings, start=False) as addresses:
        database = pool(settings, addresses.database_url, size=4, process="web")
        await database.open()
        broker = Broker(addresses.redis_url)
        door = _door(settings, providers, dict(zip(providers, of_vendors, strict=True)), database)
        app.state.fleet = State(settings, addresses.database_url, database, broker, door)
        app.state.unsubscribing = Desk(database, Links(settings.public_url, settings.secret_keys))
        yield
        door.refusals.close()
        broker.close()
        await database.close()


def _door(
    settings: Settings, providers: Mapping[str, Provider], of_vendors: Mapping[str, VendorSettings], database: Pool
) -> Door:
    receivers = all_doors(providers)
    accounts = Accounts(database, receivers, of_vendors, settings.keyring, settings.public_url)
    return open_door(database, receivers, accounts, settings.public_url)


_ROUTES: list[Any] = [
    Route("/livez", livez),
    Route("/readyz", readyz),
    Route("/metrics", metrics),
    Route(PATH + "{token}", unsubscribe, methods=["GET", "POST"]),
    Route("/webhooks/{provider}/{tenant_id:uuid}", webhook, methods=["POST"]),
]
app = Starlette(routes=_ROUTES, lifespan=_open)
# A redirect would be built from the Host that the client made up.
app.router.redirect_slashes = False
