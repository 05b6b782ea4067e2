"""Dumps restored with PostgreSQL's own tools: into another database, and in the place of their original."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from config.database import Pool, pool
from config.settings import load
from outbox import adoption, identity
from outbox.migrate.runner import migrate
from tests.factories import insert
from tests.started import claimed

from . import other_servers

VERSION = "15"
"""Of the server: the embedded one has no tools, and tools dump no server that is newer than they are."""


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    with other_servers.running(VERSION) as url:
        yield url


@pytest.fixture
def original_url(server_url: str) -> Iterator[str]:
    """A migrated database in which one message is due."""
    with other_servers.database(server_url) as url:
        migrate(url, lambda _line: None)
        with psycopg.connect(url, autocommit=True) as owner:
            insert(owner)
        yield url


@pytest.fixture
def dump(original_url: str, tmp_path: Path) -> Path:
    """A backup of it."""
    made = tmp_path / "backup"
    _tool("pg_dump", "--format=custom", f"--file={made}", original_url)
    return made


async def test_a_dump_in_another_database_sends_nothing_until_it_is_said(
    server_url: str, original_url: str, dump: Path
) -> None:
    with other_servers.database(server_url) as copy_url:
        _tool("pg_restore", f"--dbname={copy_url}", str(dump))
        async with _ledger(copy_url) as copy:
            assert not await identity.is_recognised(copy)
            assert (await claimed(copy))[1] == []
            await identity.restored(copy, actor="ada", hold=False)
            assert len((await claimed(copy))[1]) == 1
    async with _ledger(original_url) as original:
        assert len((await claimed(original))[1]) == 1


async def test_a_dump_in_the_place_of_its_original_sends_nothing_again(original_url: str, dump: Path) -> None:
    """What has gone out since the backup is due again in it."""
    async with _ledger(original_url) as original:
        assert len((await claimed(original))[1]) == 1
    _tool("pg_restore", "--clean", "--if-exists", f"--dbname={original_url}", str(dump))
    async with _ledger(original_url) as original:
        assert not await identity.is_recognised(original)
        assert (await claimed(original))[1] == []
        await identity.restored(original, actor="ada", hold=True)
        assert await adoption.held(original, limit=10) == (identity.REASON, 1)
        assert (await claimed(original))[1] == []
        await adoption.release(original, actor="ada")
        assert len((await claimed(original))[1]) == 1


@pytest.mark.parametrize("upkeep", ["VACUUM FULL fleet.identity", "REINDEX TABLE fleet.identity", "ANALYZE"])
async def test_upkeep_of_the_original_raises_no_alarm(original_url: str, upkeep: LiteralString) -> None:
    with psycopg.connect(original_url, autocommit=True) as owner:
        owner.execute(upkeep)
    async with _ledger(original_url) as original:
        assert await identity.is_recognised(original)
        assert len((await claimed(original))[1]) == 1


@asynccontextmanager
async def _ledger(url: str) -> AsyncIterator[Pool]:
    opened = pool(load({}), url, size=2, process="test")
    await opened.open()
    yield opened
    await opened.close()


def _tool(name: str, *arguments: str) -> None:
    ended = subprocess.run(
        [str(other_servers.binaries(VERSION) / name), *arguments], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
