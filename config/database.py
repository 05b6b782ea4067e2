"""Connections to PostgreSQL: the pool that every process works with, as role `fleet`.

Owns how a connection is set up and which errors mean "try the same again". Works through a transaction-mode pooler:
then nothing is set on the session and nothing is prepared, and the URL itself must name a role of the fleet.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
from psycopg import AsyncConnection, Error, OperationalError
from psycopg.errors import (
    DeadlockDetected,
    LockNotAvailable,
    QueryCanceled,
    ReadOnlySqlTransaction,
    SerializationFailure,
)
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool

from config import moments
from config.settings import Settings

Connection = AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]

STATEMENT_TIMEOUT_SECONDS = 30
CONFLICT_TRIES = 5
CONNECT_TIMEOUT_SECONDS = 30.0

_Result = TypeVar("_Result")


def _loads(text: str | bytes) -> Any:
    """Read JSON for people; what PostgreSQL stores and Python cannot read must not hide the row that carries it."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return {"unreadable": "nested too deeply, or a number without bounds"}


set_json_loads(_loads)
moments.register()


def pool(settings: Settings, database_url: str, *, size: int, process: str) -> Pool:
    """Return a pool that is not open yet; `await pool.open()` on the loop that uses it."""
    pooler = settings.database_pooler == "transaction"
    options: dict[str, Any] = {
        "autocommit": True,
        "application_name": f"fleet {process}",
        "prepare_threshold": None if pooler else 5,
    }
    if not pooler:
        options["options"] = f"-c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s -c TimeZone=UTC"
    return AsyncConnectionPool(
        database_url,
        min_size=1,
        max_size=size,
        open=False,
        timeout=CONNECT_TIMEOUT_SECONDS,
        kwargs=options,
        configure=None if pooler else become_fleet,
        name=process,
    )


async def become_fleet(connection: Connection) -> None:
    """Act as role fleet for the rest of this session: the ledger's guard knows the fleet by its role."""
    await connection.execute("SET ROLE fleet")


async def run(pool: Pool, statement: bytes, **parameters: Any) -> list[TupleRow]:
    """Run one statement by itself and return its rows; again where it lost a conflict with another."""

    async def once(connection: Connection) -> list[TupleRow]:
        cursor = await connection.execute(statement, parameters)
        return await cursor.fetchall() if cursor.description else []

    return await repeated(pool, once)


async def repeated(pool: Pool, work: Callable[[Connection], Awaitable[_Result]]) -> _Result:
    """Run `work` on a connection of the pool, again where the database asks for it.

    A deadlock or a serialisation failure rolled everything back, so the same work may run again as if it never had.
    """
    for tried in range(1, CONFLICT_TRIES + 1):
        try:
            async with pool.connection() as connection:
                return await work(connection)
        except (DeadlockDetected, SerializationFailure):
            if tried == CONFLICT_TRIES:
                raise
            await asyncio.sleep(random.uniform(0, 0.02 * 2**tried))  # noqa: S311 - jitter
    raise AssertionError("unreachable")


def is_refusal(error: Error) -> bool:
    """Tell whether the database answers, and will not do what was asked: this statement, for these rows.

    A statement that takes too long, or waits too long for a lock, is one, although it is an OperationalError as well:
    by itself it would be too slow the next time too.
    """
    return not isinstance(error, AWAY) or isinstance(error, QueryCanceled | LockNotAvailable)


AWAY = (OperationalError, ReadOnlySqlTransaction)
"""What a statement raises while the database is away: no connection (also none free in the pool), a restart, a server
that has become a standby. It may or may not have committed; later it will work again. Anything else is a mistake."""
