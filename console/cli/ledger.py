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
    settings = load()
    log.configure("error", settings.log_format, process="cli")

    async def run(database_url: str) -> _Result:
        await readiness.check(settings, database_url)
        opened = pool(settings, database_url, size=1, process="cli")
        async with opened:
            return await work(opened)

    with servers.resolve(settings, start=False) as addresses:
        return asyncio.run(run(addresses.database_url))


def actor() -> str:
    """Name the person at the terminal, for the audit log."""
    return f"cli:{getpass.getuser()}"
