"""Is the database one that this version can work on? Asked when a process starts, and by `/readyz`.

A database that is away will come back, so that is waited for; a schema that is behind will not, so that is an error.
"""

import asyncio

import psycopg
from psycopg.errors import InsufficientPrivilege
from psycopg.sql import Identifier

from config import log
from config.database import AWAY, Connection, become_fleet
from config.settings import Settings
from outbox.migrate import files

WAIT_SECONDS = 1.0
CONNECT_SECONDS = 10
_ROLE = "SELECT current_user, to_regrole('fleet') IS NOT NULL, to_regclass('fleet.schema_migrations') IS NOT NULL"
_APPLIED = "SELECT name FROM fleet.schema_migrations"
NOT_OURS = "this database is a copy, or was restored: nothing is sent until somebody runs: fleet db restored"

_log = log.get(__name__)


class NotReady(Exception):
    """The database cannot be worked on as it is; the message says what to do."""


async def wait_until_ready(settings: Settings, database_url: str) -> None:
    """Return when the database answers and may be sent from. Raises NotReady where waiting cannot help."""
    while True:
        try:
            await check(settings, database_url, sending=True)
        except AWAY as error:
            _log.warning("database_away", error=type(error).__name__)
            await asyncio.sleep(WAIT_SECONDS)
        else:
            return


async def check(settings: Settings, database_url: str, *, sending: bool = False) -> None:
    """Ask once. Raises NotReady, and OperationalError where the database is away.

    `sending`: not ready either where the database is a copy, which may be read and corrected.
    """
    connecting = psycopg.AsyncConnection.connect(
        database_url, autocommit=True, connect_timeout=CONNECT_SECONDS, prepare_threshold=None
    )
    async with await connecting as connection:
        try:
            applied = await _applied(settings, connection)
        except InsufficientPrivilege:
            grant = f"GRANT fleet TO {Identifier(connection.info.user).as_string()}"
            raise NotReady(f"{connection.info.user} is no member of the role fleet; run: {grant}") from None
        behind = [migration.name for migration in files.load() if migration.name not in applied]
        if behind:
            raise NotReady(f"this database is behind by {len(behind)} migrations; run: fleet db migrate")
        if sending and not await _is_ours(connection):
            raise NotReady(NOT_OURS)


async def _is_ours(connection: Connection) -> bool:
    row = await (await connection.execute("SELECT fleet.is_recognised()")).fetchone()
    return bool(row and row[0])


async def _applied(settings: Settings, connection: Connection) -> set[str]:
    """Return the migrations that have run, read as the role that the fleet works as."""
    row = await (await connection.execute(_ROLE)).fetchone()
    user, has_role, has_schema = row or ("", False, False)
    if not has_role or not has_schema:
        raise NotReady("this database is not migrated; run: fleet db migrate")
    if settings.database_pooler == "none":
        await become_fleet(connection)
    elif user != "fleet":
        raise NotReady(f"behind a transaction-mode pooler DATABASE_URL must name the role fleet, it names {user}")
    return {name for (name,) in await (await connection.execute(_APPLIED)).fetchall()}
