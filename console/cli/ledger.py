"""A connection to the ledger for the length of one command."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from typing import TypeVar

from config import log, servers
from config.database import Pool, pool
from config.settings import load
from outbox import readiness

_Result = TypeVar("_Result")


def with_ledger(work: Callable[[Pool], Awaitable[_Result]]) -> _Result:
    """Run `work` with a pool that acts as the fleet, on the servers that the environment or FLEET_HOME names.

    Raises NotReady where the database is not one that this version can work on.
    """
    return with_servers(lambda pool, _redis_url: work(pool))


def with_servers(work: Callable[[Pool, str], Awaitable[_Result]]) -> _Result:
    """Run `work` with a pool as `with_ledger` does, and with the address of Redis."""
    settings = load()
    log.configure("error", settings.log_format, process="cli")

    async def run(addresses: servers.Addresses) -> _Result:
        await readiness.check(settings, addresses.database_url)
        opened = pool(settings, addresses.database_url, size=1, process="cli")
        async with opened:
            return await work(opened, addresses.redis_url)

    with servers.resolve(settings, start=False) as addresses:
        return asyncio.run(run(addresses))


def actor() -> str:
    """Name the person at the terminal, for the audit log."""
    return f"cli:{getpass.getuser()}"
