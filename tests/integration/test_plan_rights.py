"""Who may migrate: an owner who is no superuser, as on managed platforms, and what others are told.

On a server of their own for each version, because roles belong to the whole server.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from config.channels import Channel
from config.database import pool
from config.settings import load
from outbox import claims
from outbox.migrate.finding import Finding
from outbox.migrate.runner import Blocked, connected, migrate
from outbox.migrate.verify import problems
from tests.factories import insert, status_of

from . import other_servers
from .fingerprints import dump
from .owners_database import fill, make

ROLES = ("fleet", "anon", "authenticated", "service_role")
LIMITS = ("statement_timeout", "lock_timeout")

Owned = Callable[..., str]


@pytest.fixture(scope="module", params=other_servers.VERSIONS)
def lone_server(request: pytest.FixtureRequest) -> Iterator[str]:
    with other_servers.running(request.param) as url:
        yield url


@pytest.fixture
def owned(lone_server: str) -> Iterator[Owned]:
    """Makes a database that belongs to a new role with these attributes, and the owner's tables in it: its URL."""
    roles = [*ROLES, "stranger"]

    with ExitStack() as databases:

        def make_one(attributes: str, *, role: str = "owner_1") -> str:
            roles.append(role)
            ask(lone_server, f"CREATE ROLE {role} LOGIN {attributes}")
            url = as_role(databases.enter_context(other_servers.database(lone_server, role)), role)
            with psycopg.connect(url, autocommit=True) as connection:
                make(connection)
                fill(connection, messages=20)
            return url

        yield make_one
    ask(lone_server, *(f"DROP ROLE IF EXISTS {role}" for role in roles))


def as_role(url: str, role: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}").geturl()


def ask(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def blocking(url: str) -> list[Finding]:
    with pytest.raises(Blocked) as raised:
        migrate(url, lambda _line: None)
    return raised.value.findings


def resolve(url: str, findings: list[Finding]) -> None:
    ask(as_role(url, "postgres"), *(statement for finding in findings for statement in finding.statements))


async def works(url: str) -> None:
    """Claim a message as the fleet does, on the owner's own address."""
    with psycopg.connect(url, autocommit=True) as owner:
        id_ = insert(owner)
        async with pool(load({}), url, size=1, process="test") as fleet:
            claimed = await claims.claim(fleet, Channel.EMAIL, limit=9, token=uuid4(), lease_seconds=60)
        assert [one.id for one in claimed] == [str(id_)]
        assert status_of(owner, id_) == "queued"


async def test_an_owner_who_may_create_roles_needs_nobody(owned: Owned) -> None:
    url = owned("CREATEROLE")
    migrate(url, lambda _line: None)
    await works(url)
    before = dump(url)
    assert migrate(url, lambda _line: None) == []
    assert dump(url) == before
    with connected(url) as database:
        assert problems(database) == []


async def test_an_owner_who_may_not_is_told_what_to_ask_for(owned: Owned) -> None:
    url = owned("")
    before = dump(as_role(url, "postgres"))
    findings = blocking(url)
    assert {finding.subject for finding in findings} == {f"role {name}" for name in ROLES}
    assert dump(as_role(url, "postgres")) == before
    resolve(url, findings)
    migrate(url, lambda _line: None)
    await works(url)


async def test_the_second_owner_on_a_server_asks_for_the_fleets_role(owned: Owned) -> None:
    migrate(owned("CREATEROLE"), lambda _line: None)
    url = owned("", role="owner_2")
    findings = blocking(url)
    assert [(finding.subject, finding.statements) for finding in findings] == [
        ("role fleet", ("GRANT fleet TO owner_2",))
    ]
    resolve(url, findings)
    migrate(url, lambda _line: None)
    await works(url)


def test_a_stranger_is_told_whose_tables_they_are(owned: Owned, lone_server: str) -> None:
    url = owned("CREATEROLE")
    migrate_as = as_role(url, "stranger")
    ask(lone_server, "CREATE ROLE stranger LOGIN CREATEROLE")
    findings = blocking(migrate_as)
    subjects = {finding.subject for finding in findings}
    assert {"database", "schema public", "schema auth", "channel_outbox", "leads"} <= subjects
    assert "belongs to owner_1" in next(one for one in findings if one.subject == "channel_outbox").problem


def test_rows_that_a_migration_would_not_see_block(owned: Owned) -> None:
    url = owned("CREATEROLE")
    ask(url, "ALTER TABLE channel_outbox FORCE ROW LEVEL SECURITY")
    findings = blocking(url)
    assert [finding.subject for finding in findings] == ["channel_outbox"]
    ask(url, *findings[0].statements)
    migrate(url, lambda _line: None)


def test_cron_jobs_that_may_not_be_read_are_no_obstacle(owned: Owned) -> None:
    url = owned("CREATEROLE")
    ask(as_role(url, "postgres"), "CREATE SCHEMA cron", "CREATE TABLE cron.job (command text)")
    migrate(url, lambda _line: None)
    with connected(url) as database:
        assert problems(database) == []


def test_limits_of_the_role_do_not_break_an_index_build_off(owned: Owned, lone_server: str) -> None:
    url = owned("CREATEROLE")
    ask(lone_server, *(f"ALTER ROLE owner_1 SET {limit} = '20s'" for limit in LIMITS))
    shown = "SELECT setting FROM pg_settings WHERE name = ANY (%s)"
    with connected(url) as database:
        assert database.execute(shown, (list(LIMITS),)).fetchall() == [("0",), ("0",)]
    with connected(url, pooled=True) as database:
        assert database.execute(shown, (list(LIMITS),)).fetchall() == [("20000",), ("20000",)]
