"""Workspaces kept apart by the database itself: every table, every command, two tenants and a stranger.

Owns the tests of the policies in migrations/platform and of scripts/verify-workspace-isolation.sql. Every right is
granted to people first, so that nothing but row level security stands between them.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from .platform_tables import ROOT, TABLES, Database, apply_platform, run_file
from .platform_tenants import Tenant, insertion, row_of, settled

VERIFICATION = ROOT / "scripts/verify-workspace-isolation.sql"
NOBODY_WRITES = {"user_roles", "industry_verticals", "job_queue"}
"""Tables that only service roles write."""


@pytest.fixture
def database(empty_database: str) -> Iterator[Database]:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        apply_platform(connection)
        yield connection


@pytest.fixture
def tenants(database: Database) -> tuple[Tenant, Tenant]:
    database.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO anon, authenticated")
    database.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO anon, authenticated")
    return settled(database), settled(database)


def _update(table: str, row: dict[str, object]) -> sql.Composed:
    changes = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in row]
    return sql.SQL("UPDATE {} SET {} WHERE id = %(id)s").format(sql.Identifier(table), sql.SQL(", ").join(changes))


@contextmanager
def signed_in(database: Database, person: UUID | None) -> Iterator[None]:
    """Act as this person, or as nobody; what was written is taken back in the end."""
    with database.transaction(force_rollback=True):
        claims = json.dumps({"sub": str(person)}) if person else ""
        database.execute("SELECT set_config('request.jwt.claims', %s, true)", [claims])
        database.execute("SET LOCAL ROLE authenticated" if person else "SET LOCAL ROLE anon")
        yield


def visible(database: Database, person: UUID | None, table: str) -> set[object]:
    """Return the ids that the person sees."""
    with signed_in(database, person):
        return {id_ for (id_,) in database.execute(f"SELECT id FROM {table}".encode()).fetchall()}


def written(database: Database, person: UUID, statement: sql.Composable, values: dict[str, object]) -> int | None:
    """Return how many rows the person's statement would write; None where it is refused."""
    with signed_in(database, person):
        try:
            return database.execute(sql.Composed([statement]), values).rowcount
        except InsufficientPrivilege:
            return None


def test_people_see_the_rows_of_their_own_workspace_only(database: Database, tenants: tuple[Tenant, Tenant]) -> None:
    for tenant in tenants:
        for table in TABLES:
            everybody = {tenant.rows[table] for tenant in tenants}
            expected = {"job_queue": set(), "industry_verticals": everybody}.get(table, {tenant.rows[table]})
            assert visible(database, tenant.person, table) == expected, table


def test_a_member_is_as_good_as_the_owner(database: Database, tenants: tuple[Tenant, Tenant]) -> None:
    member = uuid4()
    database.execute(
        "INSERT INTO workspace_members (workspace_id, user_id) VALUES (%s, %s)", [tenants[0].workspace, member]
    )
    for table in TABLES.keys() - {"job_queue", "user_roles", "industry_verticals", "workspace_members"}:
        assert visible(database, member, table) == {tenants[0].rows[table]}, table


def test_nobody_signed_in_sees_nothing_but_the_industries(database: Database, tenants: tuple[Tenant, Tenant]) -> None:
    assert [table for table in TABLES if visible(database, None, table)] == ["industry_verticals"]


def test_the_platform_grants_nobody_more_than_the_industries(database: Database) -> None:
    query = "SELECT relname FROM pg_class WHERE relname = ANY (%s) AND has_table_privilege('anon', oid, 'SELECT')"
    assert database.execute(query, [list(TABLES)]).fetchall() == [("industry_verticals",)]
    query = "SELECT relname FROM pg_class WHERE relname = ANY (%s) AND NOT has_table_privilege(%s, oid, 'SELECT')"
    assert database.execute(query, [list(TABLES), "service_role"]).fetchall() == []
    assert database.execute(query, [list(TABLES), "authenticated"]).fetchall() == [("job_queue",)]


def test_people_write_in_their_own_workspace_only(database: Database, tenants: tuple[Tenant, Tenant]) -> None:
    for own, other in (tenants, tenants[::-1]):
        for table in TABLES:
            mine, theirs = row_of(database, table, own), row_of(database, table, other)
            touch = sql.SQL("UPDATE {} SET created_at = now() WHERE id = %(id)s").format(sql.Identifier(table))
            delete = sql.SQL("DELETE FROM {} WHERE id = %(id)s").format(sql.Identifier(table))
            their_id, my_id = {"id": other.rows[table]}, {"id": own.rows[table]}
            writable = table not in NOBODY_WRITES

            assert written(database, own.person, insertion(table, mine), mine) == (1 if writable else None), table
            assert written(database, own.person, insertion(table, theirs), theirs) is None, table
            assert written(database, own.person, touch, my_id) == (1 if writable else 0), table
            assert written(database, own.person, touch, their_id) == 0, table
            assert written(database, own.person, delete, their_id) == 0, table
            # A row of one's own cannot be handed over.
            assert written(database, own.person, _update(table, theirs), theirs | my_id) == (None if writable else 0), (
                table
            )


def test_nobody_deletes_a_message_or_inserts_one_that_was_sent(
    database: Database, tenants: tuple[Tenant, Tenant]
) -> None:
    own, _ = tenants
    delete = sql.SQL("DELETE FROM channel_outbox")
    assert written(database, own.person, delete, {}) == 0
    for status, expected in (("scheduled", 1), ("sent", None), ("queued", None), ("cancelled", None)):
        row: dict[str, object] = {"workspace_id": own.workspace, "status": status}
        assert written(database, own.person, insertion("channel_outbox", row), row) == expected, status


def test_a_row_in_ones_own_workspace_cannot_name_a_strangers_tenant(
    database: Database, tenants: tuple[Tenant, Tenant]
) -> None:
    own, other = tenants
    for table in ("channel_outbox", "cmo_campaigns"):
        row = row_of(database, table, own) | {"tenant_id": other.workspace}
        assert written(database, own.person, insertion(table, row), row) is None
        assert written(database, own.person, _update(table, row), row | {"id": own.rows[table]}) is None


def test_a_row_without_workspace_belongs_to_its_tenant(database: Database, tenants: tuple[Tenant, Tenant]) -> None:
    own, other = tenants
    legacy = uuid4()
    database.execute("INSERT INTO user_tenants (user_id, tenant_id) VALUES (%s, %s)", [own.person, legacy])
    row: dict[str, object] = {"tenant_id": legacy, "status": "scheduled"}
    assert written(database, own.person, insertion("channel_outbox", row), row) == 1
    assert written(database, other.person, insertion("channel_outbox", row), row) is None
    (message,) = (
        database.execute("INSERT INTO channel_outbox (tenant_id) VALUES (%s) RETURNING id", [legacy]).fetchone() or ()
    )
    assert message in visible(database, own.person, "channel_outbox")
    assert message not in visible(database, other.person, "channel_outbox")


def test_a_strangers_tenant_cannot_be_taken_over_by_a_workspace_of_its_id(
    database: Database, tenants: tuple[Tenant, Tenant]
) -> None:
    own, _ = tenants
    legacy = uuid4()
    database.execute("INSERT INTO ai_settings_twilio (tenant_id) VALUES (%s)", [legacy])
    row: dict[str, object] = {"id": legacy, "name": "Mine now", "owner_id": own.person}
    assert written(database, own.person, insertion("workspaces", row), row) is None
    rename = sql.SQL("UPDATE workspaces SET id = %(legacy)s WHERE id = %(id)s")
    assert written(database, own.person, rename, {"legacy": legacy, "id": own.workspace}) is None
    free = row | {"id": uuid4()}
    assert written(database, own.person, insertion("workspaces", free), free) == 1


def test_a_strangers_audit_log_cannot_be_read_by_a_campaign_of_its_id(
    database: Database, tenants: tuple[Tenant, Tenant]
) -> None:
    own, other = tenants
    database.execute(
        "INSERT INTO cmo_campaigns (id, workspace_id, campaign_name) VALUES (%s, %s, 'Copy')",
        [other.rows["campaigns"], own.workspace],
    )
    assert visible(database, own.person, "campaign_audit_log") == {own.rows["campaign_audit_log"]}


def test_the_verification_passes_on_a_fresh_schema(database: Database) -> None:
    results = run_file(database, VERIFICATION)
    assert {check for check, *_ in results} == {"rls", "policy", "orphan", "leak", "index"}
    assert [row for row in results if not row[2]] == []


def test_the_verification_looks_through_the_eyes_of_two_tenants(
    database: Database, tenants: tuple[Tenant, Tenant]
) -> None:
    results = run_file(database, VERIFICATION)
    assert [row for row in results if not row[2]] == []
    looked = [subject for check, subject, _, detail in results if check == "leak" and "0 of 0" not in detail]
    assert sorted(looked) == sorted(2 * list(TABLES.keys() - {"industry_verticals"}))


def test_the_verification_finds_what_is_open(database: Database, tenants: tuple[Tenant, Tenant]) -> None:
    database.execute("ALTER TABLE leads DISABLE ROW LEVEL SECURITY")
    database.execute("CREATE POLICY everybody ON assets FOR SELECT USING (true)")
    database.execute("CREATE POLICY everybody ON job_queue TO authenticated USING (status = 'pending')")
    database.execute("INSERT INTO crm_contacts (email) VALUES ('nobody@example.com')")
    failed = {(check, subject) for check, subject, ok, _ in run_file(database, VERIFICATION) if not ok}
    assert failed == {
        ("rls", "leads"),
        ("leak", "leads"),
        ("policy", "assets"),
        ("leak", "assets"),
        ("policy", "job_queue"),
        ("leak", "job_queue"),
        ("orphan", "crm_contacts"),
    }
