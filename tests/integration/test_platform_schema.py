"""The platform schema on a real PostgreSQL: complete in an empty database, and harmless to what exists in another.

Owns the tests of migrations/platform, without what the fleet adds to these tables. Who sees what is tested in
test_platform_isolation.
"""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import TupleRow

from .platform_tables import TABLES, Database, apply_platform, described_columns

INDEXES = {
    "idx_leads_workspace_id": "leads (workspace_id)",
    "idx_leads_status": "leads (status)",
    "idx_leads_score": "leads (score)",
    "idx_leads_created_at": "leads (created_at)",
    "idx_leads_email": "leads (email)",
    "idx_leads_name": "leads (last_name, first_name)",
    "idx_leads_company": "leads (company)",
    "idx_campaigns_workspace_id": "campaigns (workspace_id)",
    "idx_campaigns_status": "campaigns (status)",
    "idx_deals_value": "deals (value)",
    "idx_crm_contacts_email": "crm_contacts (email)",
    "idx_channel_outbox_status": "channel_outbox (status, scheduled_at)",
}

VIEWS = ("cmo_performance_snapshot", "cro_pipeline_view", "lead_funnel_analysis", "revenue_forecast_view")

_COLUMNS = """
    SELECT relname, attname, replace(format_type(atttypid, NULL), 'timestamp with time zone', 'timestamptz'),
           coalesce(pg_get_expr(adbin, adrelid), '')
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
"""

# One line for each thing that a migration could change; row level security that is off is no line.
_SNAPSHOT = """
    WITH owned AS (SELECT oid, nspname, nspacl FROM pg_namespace WHERE nspname IN ('public', 'auth', 'fleet')),
    relations AS (SELECT pg_class.*, pg_class.oid AS id, nspname FROM pg_class JOIN owned ON owned.oid = relnamespace)
    SELECT 'relation', nspname, relname, relkind::text FROM relations
    UNION ALL SELECT 'secured', nspname, relname, relforcerowsecurity::text FROM relations WHERE relrowsecurity
    UNION ALL SELECT 'options', nspname, relname, reloptions::text FROM relations WHERE reloptions IS NOT NULL
    UNION ALL SELECT 'view', nspname, relname, pg_get_viewdef(id) FROM relations WHERE relkind = 'v'
    UNION ALL SELECT 'comment', nspname, relname, obj_description(id) FROM relations WHERE obj_description(id) <> ''
    UNION ALL SELECT 'grant', nspname, relname, acl::text FROM relations, unnest(relacl) AS acl
    UNION ALL SELECT 'grant', nspname, NULL, acl::text FROM owned, unnest(nspacl) AS acl
    UNION ALL SELECT 'column', nspname, relname,
            concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
        FROM relations JOIN pg_attribute ON attrelid = id AND attnum > 0 AND NOT attisdropped
        LEFT JOIN pg_attrdef ON adrelid = id AND adnum = attnum
    UNION ALL SELECT 'constraint', nspname, conname, pg_get_constraintdef(pg_constraint.oid)
        FROM relations JOIN pg_constraint ON conrelid = id
    UNION ALL SELECT 'index', nspname, relname, pg_get_indexdef(id) FROM relations WHERE relkind = 'i'
    UNION ALL SELECT 'policy', schemaname, tablename,
            concat_ws(' ', policyname, permissive, roles, cmd, qual, with_check) FROM pg_policies
    UNION ALL SELECT 'function', nspname, proname, concat_ws(' ', pg_get_functiondef(pg_proc.oid), proacl)
        FROM pg_proc JOIN owned ON owned.oid = pronamespace
    UNION ALL SELECT 'label', nspname, typname, enumlabel
        FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid JOIN owned ON owned.oid = typnamespace
"""

# What an owner may have made long ago, unlike what the description says. Nothing is granted on the outbox here, but a
# right was taken: an owner who did that has decided.
_OLDER = """
    CREATE TABLE public.channel_outbox (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), channel varchar(20), payload json, note text,
        status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'scheduled', 'sent')), scheduled_at timestamptz
    );
    CREATE INDEX idx_channel_outbox_status ON public.channel_outbox (note);
    REVOKE ALL ON public.channel_outbox FROM PUBLIC;
    CREATE TABLE public.job_queue (id uuid PRIMARY KEY, status text);
    CREATE SCHEMA auth;
    CREATE TABLE auth.users (id uuid PRIMARY KEY, email text, phone text);
    CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE
        RETURN '00000000-0000-0000-0000-000000000007'::uuid;
    CREATE FUNCTION public.user_has_workspace_access(workspace_id uuid) RETURNS boolean LANGUAGE sql STABLE
        RETURN workspace_id = auth.uid();
    CREATE TABLE public.leads (id uuid PRIMARY KEY, workspace_id uuid, score numeric);
    ALTER TABLE public.leads ENABLE ROW LEVEL SECURITY;
    CREATE POLICY workspace_read ON public.leads FOR SELECT TO CURRENT_USER USING (score > 10);
    CREATE VIEW public.cro_pipeline_view AS SELECT 1 AS mine;
    CREATE TYPE public.asset_status AS ENUM ('idea', 'draft', 'done')
"""


# A workspace's figures, among them what must not count: demonstration data, a closed deal, an older forecast, the
# target of a single person.
_FIGURES = """
    INSERT INTO workspaces (id, name) VALUES ('00000000-0000-0000-0000-000000000001', 'One');
    INSERT INTO campaigns (workspace_id, name) SELECT id, 'Spring' FROM workspaces;
    INSERT INTO campaign_metrics (campaign_id, sent_count, delivered_count, revenue, cost, data_mode)
        SELECT id, 10, 8, 300, 100, 'real' FROM campaigns
        UNION ALL SELECT id, 10, 10, 0, 0, 'real' FROM campaigns
        UNION ALL SELECT id, 999, 999, 999, 0, 'demo' FROM campaigns;
    INSERT INTO leads (workspace_id, status)
        SELECT id, unnest(ARRAY['closed_won', 'closed_lost', 'new']) FROM workspaces;
    INSERT INTO deals (lead_id, name, value, probability) SELECT id, 'A', 1000, 50 FROM leads WHERE status = 'new';
    INSERT INTO deals (lead_id, name, value, probability) SELECT id, 'B', 100, 10 FROM leads WHERE status = 'new';
    INSERT INTO deals (lead_id, name, value, actual_close_date)
        SELECT id, 'C', 5000, '2026-01-01' FROM leads WHERE status = 'closed_won';
    INSERT INTO cro_forecasts (workspace_id, period, scenario, forecast_new_arr, confidence, updated_at)
        SELECT id, '2026-Q1', 'base', 80, 0.5, now() FROM workspaces
        UNION ALL SELECT id, '2026-Q1', 'base', 70, 0.5, now() - interval '1 day' FROM workspaces;
    INSERT INTO cro_targets (workspace_id, period, owner_type, target_new_arr)
        SELECT id, '2026-Q1', 'global', 100 FROM workspaces UNION ALL SELECT id, '2026-Q1', 'rep', 30 FROM workspaces
"""


@pytest.fixture
def database(empty_database: str) -> Iterator[Database]:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        yield connection


def snapshot(database: Database) -> set[TupleRow]:
    return set(database.execute(_SNAPSHOT.encode()).fetchall())


def columns(database: Database) -> set[TupleRow]:
    """Return (table, column, type, default) of every column."""
    return set(database.execute(_COLUMNS.encode()).fetchall())


def test_an_empty_database_gets_every_column_of_the_description(database: Database) -> None:
    apply_platform(database)
    assert len(TABLES) == 40
    assert {row[:3] for row in columns(database)} == described_columns()


def test_the_listed_indexes_are_there_and_valid(database: Database) -> None:
    apply_platform(database)
    for name, covered in INDEXES.items():
        query = "SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
        definition, valid = database.execute(query, [name]).fetchone() or ("", False)
        assert valid, name
        assert definition.endswith(f"public.{covered}".replace(" (", " USING btree (")), name


def test_a_second_run_changes_nothing(database: Database) -> None:
    apply_platform(database)
    before = snapshot(database)
    apply_platform(database)
    assert snapshot(database) == before


def test_a_second_run_waits_for_nobody(database: Database, empty_database: str) -> None:
    apply_platform(database)
    with psycopg.connect(empty_database) as writer:
        writer.execute(f"LOCK TABLE {', '.join(TABLES)} IN ROW EXCLUSIVE MODE".encode())
        database.execute("SET lock_timeout = '300ms'")
        apply_platform(database)


def test_what_exists_is_left_exactly_as_it_is(database: Database) -> None:
    for statement in _OLDER.split(";"):
        database.execute(statement.encode())
    before = snapshot(database)
    apply_platform(database)
    after = snapshot(database)
    assert before <= after, before - after
    for queue in ("channel_outbox", "job_queue"):
        assert not [line for line in after - before if line[0] == "grant" and line[2] == queue], queue
    assert described_columns() - {row[:3] for row in columns(database)} == {
        ("channel_outbox", "channel", "text"),
        ("channel_outbox", "payload", "jsonb"),
        ("leads", "score", "integer"),
    }


def test_missing_columns_are_added_for_rows_to_come(database: Database) -> None:
    apply_platform(database)
    complete = columns(database)
    database.execute("DROP SCHEMA public, auth, fleet CASCADE")
    database.execute("CREATE SCHEMA public")
    for table in TABLES:
        key = "id bigserial" if table.startswith("kernel_") else "id uuid DEFAULT gen_random_uuid()"
        database.execute(f"CREATE TABLE public.{table} ({key} PRIMARY KEY)".encode())
    database.execute("INSERT INTO public.channel_outbox DEFAULT VALUES")

    apply_platform(database)

    assert columns(database) == complete
    database.execute("INSERT INTO public.channel_outbox DEFAULT VALUES")
    statuses = database.execute("SELECT status FROM public.channel_outbox ORDER BY created_at NULLS FIRST").fetchall()
    assert statuses == [(None,), ("scheduled",)]


@pytest.mark.parametrize(
    ("claims", "expected"),
    [(None, None), ("", None), ("{}", None), ('{"sub": ""}', None), ('{"sub": "%s"}', "%s")],
)
def test_the_signed_in_person_is_read_from_the_claims(
    database: Database, claims: str | None, expected: str | None
) -> None:
    apply_platform(database)
    person = uuid4()
    if claims is not None:
        database.execute("SELECT set_config('request.jwt.claims', %s, false)", [claims.replace("%s", str(person))])
    found = database.execute("SELECT auth.uid()").fetchone()
    assert found == (person if expected else None,)


def test_the_dashboards_figures(database: Database) -> None:
    apply_platform(database)
    for statement in _FIGURES.split(";"):
        database.execute(statement.encode())
    for question, answer in (
        ("SELECT sent_count, delivery_rate, return_on_cost FROM cmo_performance_snapshot", (20, 0.9, 3)),
        ("SELECT stage, deal_count, total_value, weighted_value FROM cro_pipeline_view", ("prospecting", 2, 1100, 510)),
        ("SELECT lead_count, won_count, win_rate, contact_rate FROM lead_funnel_analysis", (3, 1, 0.5, 0.6667)),
        ("SELECT forecast_new_arr, expected_new_arr, missing_new_arr FROM revenue_forecast_view", (80, 40, 20)),
    ):
        (row,) = database.execute(question.encode()).fetchall()
        assert tuple(one if isinstance(one, str) else float(one) for one in row) == answer


def test_the_dashboards_run_with_the_rights_of_whoever_asks(database: Database) -> None:
    apply_platform(database)
    for view in VIEWS:
        (options,) = (
            database.execute("SELECT reloptions FROM pg_class WHERE oid = to_regclass(%s)", [view]).fetchone() or ()
        )
        assert options == ["security_invoker=true"], view
