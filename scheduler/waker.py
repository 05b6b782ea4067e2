"""Hears the NOTIFY of inserts, and knows whether it would.

Behind a transaction-mode pooler LISTEN succeeds and hears nothing. So hearing is proved: at the start and once a
minute the waker notifies itself on another connection, and counts as deaf until that has come back.
"""

import asyncio
from uuid import uuid4

import psycopg

from config import log, tasks
from config.database import AWAY, Connection, Pool
from config.settings import Settings
from scheduler.absence import Absence

CHANNEL = "fleet_due"
PROOF_SECONDS = 60.0
ANSWER_SECONDS = 5.0
RECONNECT_SECONDS = 5.0

_log = log.get(__name__)


class Waker:
    """One listening connection. Without an address to listen at it stays deaf, and callers poll."""

    def __init__(self, settings: Settings, database_url: str, pool: Pool) -> None:
        own = settings.database_listen_url
        self._url = (
            own.get_secret_value() if own else None if settings.database_pooler == "transaction" else database_url
        )
        self._pool = pool
        self._woken = asyncio.Event()
        self._answered = asyncio.Event()
        self._proof = ""
        self._absence = Absence("database", loop="Waker")
        self.proved = False
        """Would a notification be heard?"""

    async def wait(self, seconds: float) -> bool:
        """Wait for a notification, at most `seconds`; return whether one came."""
        try:
            await asyncio.wait_for(self._woken.wait(), seconds)
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    def wake(self) -> None:
        """End a wait."""
        self._woken.set()

    async def run(self) -> None:
        """Listen until cancelled; connect again where the connection breaks."""
        if self._url is None:
            _log.info("polling", reason="behind a transaction-mode pooler without DATABASE_LISTEN_URL")
            return
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
                    await self._listen(connection)
            except AWAY as error:
                self._absence.noticed(error)
            finally:
                self.proved = False
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self, connection: Connection) -> None:
        """Hear until the connection breaks, and prove it meanwhile; the first that ends ends both."""
        await connection.execute(f"LISTEN {CHANNEL}".encode())
        self._absence.over()
        both = asyncio.create_task(self._hear(connection)), asyncio.create_task(self._prove())
        try:
            ended, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            await tasks.end(both)

    async def _hear(self, connection: Connection) -> None:
        async for notification in connection.notifies():
            if notification.payload == self._proof:
                self._answered.set()
            else:
                self.wake()

    async def _prove(self) -> None:
        while True:
            self._proof = f"proof {uuid4()}"
            self._answered.clear()
            try:
                async with self._pool.connection() as other:
                    await other.execute("SELECT pg_notify(%s, %s)", (CHANNEL, self._proof))
                await asyncio.wait_for(self._answered.wait(), ANSWER_SECONDS)
                self.proved = True
            except (TimeoutError, *AWAY):
                if self.proved:
                    _log.warning("deaf", reason="a notification to itself did not come back; polling instead")
                self.proved = False
            await asyncio.sleep(PROOF_SECONDS if self.proved else RECONNECT_SECONDS)
