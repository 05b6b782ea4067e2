"""The role fleet may do what it needs and no more, and what is the fleet's is closed to people."""

import psycopg

from .platform_tables import TABLES
from .platform_tenants import settled

RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
EXPECTED = {
    ("SELECT", "INSERT", "UPDATE", "DELETE"): """
        channel_outbox job_queue fleet.batches fleet.unknowns fleet.events fleet.accounts fleet.pauses
        fleet.suppressions fleet.templates fleet.limits fleet.lanes fleet.lane_hints fleet.workers fleet.bundles
        fleet.relays fleet.api_keys fleet.replies fleet.campaign_hints fleet.campaign_rollups
    """,
    ("SELECT", "INSERT", "UPDATE"): "voice_call_records campaign_metrics",
    ("SELECT", "UPDATE"): "fleet.identity",
    ("SELECT", "INSERT"): "fleet.attempts fleet.promises fleet.audit_log campaigns",
    ("SELECT",): """
        workspaces leads crm_contacts voice_phone_numbers ai_settings_resend ai_settings_twilio ai_settings_voice
        ai_settings_social cmo_campaigns fleet.adoption fleet.schema_migrations
    """,
}
_HELD = """
    SELECT replace(c.oid::regclass::text, 'public.', ''), array_agg(wanted ORDER BY place)
    FROM pg_class c CROSS JOIN unnest(%s::text[]) WITH ORDINALITY AS rights (wanted, place)
    WHERE c.relkind IN ('r', 'v') AND c.relnamespace::regnamespace::text IN ('public', 'fleet', 'auth')
      AND has_table_privilege(%s, c.oid, wanted)
    GROUP BY c.oid
"""


def held(owner: psycopg.Connection, role: str) -> dict[str, list[str]]:
    """Return the role's rights on each table."""
    found: dict[str, list[str]] = dict(owner.execute(_HELD, (list(RIGHTS), role)).fetchall())
    return found


def test_the_fleets_rights_on_tables_are_these(owner: psycopg.Connection) -> None:
    expected = {table: list(rights) for rights, tables in EXPECTED.items() for table in tables.split()}
    assert held(owner, "fleet") == expected


def test_the_fleets_role_can_make_nothing(owner: psycopg.Connection) -> None:
    attributes = "SELECT rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls FROM pg_roles"
    assert owner.execute(f"{attributes} WHERE rolname = 'fleet'".encode()).fetchone() == (False,) * 6
    for schema in ("public", "fleet", "auth"):
        query = "SELECT has_schema_privilege('fleet', %s, 'CREATE')"
        assert owner.execute(query, (schema,)).fetchone() == (False,), schema


def test_people_reach_nothing_of_the_fleets(owner: psycopg.Connection) -> None:
    for role in ("anon", "authenticated", "service_role"):
        assert owner.execute("SELECT has_schema_privilege(%s, 'fleet', 'USAGE')", (role,)).fetchone() == (False,)
        assert not [table for table in held(owner, role) if table.startswith("fleet.")]


def test_the_fleet_sees_every_row_of_the_tables_that_it_reads(owner: psycopg.Connection) -> None:
    settled(owner)
    read = TABLES.keys() & held(owner, "fleet").keys()
    with owner.transaction():
        owner.execute("SET LOCAL ROLE fleet")
        for table in read:
            assert owner.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (1,), table


def test_where_everything_is_published_everything_can_still_be_deleted(owner: psycopg.Connection) -> None:
    owner.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    with owner.transaction():
        owner.execute("SET LOCAL ROLE fleet")
        for table, rights in held(owner, "fleet").items():
            if "DELETE" in rights:
                owner.execute(f"DELETE FROM {table}".encode())


def test_functions_with_their_owners_rights_trust_no_search_path(owner: psycopg.Connection) -> None:
    query = """
        SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_language l ON l.oid = prolang
        WHERE pronamespace = 'fleet'::regnamespace AND (prosecdef OR lanname = 'plpgsql')
          AND NOT coalesce(proconfig @> ARRAY['search_path=""'], false)
    """
    assert owner.execute(query).fetchall() == []
