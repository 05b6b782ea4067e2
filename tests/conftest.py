"""Real servers for the tests: one PostgreSQL and one Valkey a session, a database of its own for each test.

TEST_DATABASE_URL and TEST_REDIS_URL name other servers; the database URL must be of a superuser.
"""

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
import redis
from psycopg import sql

from config import embedded
from config.database import Pool, pool
from config.settings import Settings, load
from outbox.migrate.runner import migrate
from tests import in_memory
from tests.integration import other_servers

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Servers:
    database_url: str
    redis_url: str

    def named(self, database: str) -> str:
        """The same server, another database."""
        return urlsplit(self.database_url)._replace(path=f"/{database}").geturl()


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> Iterator[None]:
    """A developer's own settings must not decide what a test sees."""
    ours = ("FLEET_", "RESEND_", "TWILIO_", "VAPI_", "DATABASE_", "REDIS_", "SENTRY_", "PG")
    removed = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(ours)}
    yield
    os.environ.update(removed)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    database_url, redis_url = os.environ.get("TEST_DATABASE_URL"), os.environ.get("TEST_REDIS_URL")
    if database_url and redis_url:
        yield Servers(database_url, redis_url)
        return
    with in_memory.folder() as folder:
        with embedded.running(folder / "home", durable=False) as running:
            yield Servers(database_url or running.database_url, redis_url or running.redis_url)
        embedded.erase(folder / "home")


@pytest.fixture(scope="session")
def template(servers: Servers) -> str:
    """The name of a migrated database that no test writes to."""
    name = f"template_{uuid4().hex[:12]}"
    _create(servers, name)
    migrate(servers.named(name), lambda _line: None)
    return name


@pytest.fixture
def empty_database(servers: Servers) -> Iterator[str]:
    """The superuser URL of a database with nothing in it."""
    name = f"empty_{uuid4().hex[:12]}"
    _create(servers, name)
    yield servers.named(name)
    _drop(servers, name)


@pytest.fixture
def database_url(servers: Servers, template: str) -> Iterator[str]:
    """The superuser URL of a migrated database of this test's own."""
    name = f"test_{uuid4().hex[:12]}"
    _create(servers, name, template)
    yield servers.named(name)
    _drop(servers, name)


@pytest.fixture(scope="module")
def module_database_url(servers: Servers, template: str) -> Iterator[str]:
    """The superuser URL of a migrated database that the tests of one module share, for what is dear to fill."""
    name = f"test_{uuid4().hex[:12]}"
    _create(servers, name, template)
    yield servers.named(name)
    _drop(servers, name)


@pytest.fixture
def redis_url(servers: Servers) -> Iterator[str]:
    """An empty Redis; tests that use it do not run side by side in one session."""
    client = redis.Redis.from_url(servers.redis_url)
    client.flushall()
    yield servers.redis_url
    client.flushall()
    client.close()


@pytest.fixture
def settings() -> Settings:
    return load({})


@pytest.fixture
async def ledger(settings: Settings, database_url: str) -> AsyncIterator[Pool]:
    """A pool that acts as role fleet, as every process of the fleet does."""
    opened = pool(settings, database_url, size=4, process="test")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def owner(database_url: str) -> Iterator[psycopg.Connection]:
    """The platform's owner, who inserts rows and is not the fleet."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def _create(servers: Servers, name: str, template: str | None = None) -> None:
    """Create a database, empty or as a copy of one that is migrated, and say that it is the one to send from."""
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template or "template0")
            )
        )
    if template:
        with psycopg.connect(servers.named(name), autocommit=True) as connection:
            connection.execute(
                "UPDATE fleet.identity SET database_oid = d.oid FROM pg_database d WHERE d.datname = current_database()"
            )


def _drop(servers: Servers, name: str) -> None:
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session", params=other_servers.VERSIONS)
def server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[str]:
    """The superuser URL of a server of each version that this machine has."""
    if request.param == other_servers.EMBEDDED:
        yield servers.database_url
        return
    with other_servers.running(request.param) as url:
        yield url


@pytest.fixture
def any_database(server: str) -> Iterator[str]:
    """The superuser URL of an empty database on a server of each version."""
    with other_servers.database(server) as url:
        yield url
