"""The database that an owner has served for years: the platform's tables as their description says, with rows.

Shares nothing with migrations/: types come from the hand-written table in `platform_tables`, keys and policies from
the description. What single owners do differently is in `owners_ways`.
"""

from uuid import UUID

from .platform_tables import TABLES, Database
from .platform_tenants import settled

# Columns that the fleet wants on tables which the description gives without them.
_LATER = {("email_sequences", "workspace_id"), ("assets", "workspace_id"), ("job_queue", "workspace_id")}
_PARENTS = {
    "workspaces": {"owner_id": "auth.users"},
    "workspace_members": {"workspace_id": "workspaces"},
    "business_profiles": {"workspace_id": "workspaces"},
    "leads": {"workspace_id": "workspaces"},
    "deals": {"lead_id": "leads"},
    "tasks": {"lead_id": "leads", "deal_id": "deals"},
    "cmo_content_assets": {"campaign_id": "cmo_campaigns"},
    "asset_approvals": {"asset_id": "assets"},
    "content_calendar": {"workspace_id": "workspaces", "asset_id": "assets"},
    "campaigns": {"workspace_id": "workspaces"},
    "campaign_metrics": {"campaign_id": "campaigns"},
    "voice_call_records": {"phone_number_id": "voice_phone_numbers", "lead_id": "leads"},
    "cro_deal_reviews": {"deal_id": "deals"},
    "kernel_decisions": {"event_id": "kernel_events"},
    "kernel_actions": {"decision_id": "kernel_decisions"},
}
_UNIQUE = {("workspaces", "slug"), ("voice_phone_numbers", "phone_number"), ("channel_outbox", "idempotency_key")}
_REQUIRED = {("job_queue", "job_type"), ("industry_verticals", "name"), ("workspaces", "name")}
_DEFAULTS = {
    "channel_outbox.status": "'scheduled'",
    "job_queue.status": "'pending'",
    "job_queue.priority": "0",
    "job_queue.retry_count": "0",
}
_FOUNDATION = """
CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY, email text);
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE
    RETURN (nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub')::uuid;
CREATE TYPE public.app_role AS ENUM ('admin', 'sales', 'manager');
CREATE TYPE public.asset_type AS ENUM ('video', 'email', 'voice', 'landing_page', 'website');
CREATE TYPE public.asset_status AS ENUM ('draft', 'review', 'approved', 'live')
"""
_ACCESS = """
CREATE FUNCTION public.user_has_workspace_access(workspace_id uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public
AS $$
    SELECT EXISTS (SELECT FROM workspaces WHERE id = $1 AND owner_id = auth.uid())
        OR EXISTS (SELECT FROM workspace_members m WHERE m.workspace_id = $1 AND m.user_id = auth.uid())
$$
"""
_POLICIES = """
ALTER TABLE public.{0} ENABLE ROW LEVEL SECURITY;
CREATE POLICY workspace_read ON public.{0} FOR SELECT USING (user_has_workspace_access(workspace_id));
CREATE POLICY workspace_write ON public.{0} FOR INSERT WITH CHECK (user_has_workspace_access(workspace_id));
CREATE POLICY workspace_update ON public.{0} FOR UPDATE USING (user_has_workspace_access(workspace_id));
CREATE POLICY workspace_delete ON public.{0} FOR DELETE USING (user_has_workspace_access(workspace_id))
"""
_INDEXES = """
CREATE INDEX idx_leads_workspace_id ON public.leads (workspace_id);
CREATE INDEX idx_leads_status ON public.leads (status);
CREATE INDEX idx_leads_email ON public.leads (email);
CREATE INDEX idx_channel_outbox_status ON public.channel_outbox (status, scheduled_at)
"""

# Years of sent, failed and future messages: none of them is due, and none went out lately.
_MESSAGES = """
INSERT INTO public.channel_outbox (
    workspace_id, tenant_id, channel, provider, recipient_email, recipient_phone, payload, status, scheduled_at,
    sent_at, provider_response, idempotency_key, created_at
)
SELECT %(tenant)s, %(tenant)s,
    (ARRAY['email', 'sms', 'voice', 'linkedin'])[n %% 4 + 1], (ARRAY['resend', 'twilio', 'vapi', NULL])[n %% 4 + 1],
    'person' || n || '@example.com', '+1415555' || lpad((n %% 10000)::text, 4, '0'),
    jsonb_build_object('subject', 'Number ' || n, 'html', repeat('<p>', n %% 7)),
    (ARRAY['sent', 'delivered', 'failed', 'scheduled', 'sent'])[n %% 5 + 1],
    now() + CASE n %% 5 WHEN 3 THEN interval '1 year' ELSE interval '-1 year' END + n * interval '1 second',
    CASE WHEN n %% 5 IN (0, 1, 4) THEN now() - interval '300 days' END,
    CASE WHEN n %% 5 = 0 THEN jsonb_build_object('id', 'vendor-' || n) END,
    'promise-' || n, now() - interval '2 years'
FROM generate_series(1, %(count)s) AS n
"""


def make(database: Database) -> None:
    """Make every table of the description, with its keys, policies and some of its indexes; no rows."""
    for statements in (_FOUNDATION, *map(_table, TABLES), _ACCESS, _INDEXES):
        database.execute(statements.encode())
    for table in TABLES:
        if "workspace_id" in dict(_columns(table)):
            database.execute(_POLICIES.format(table).encode())


def fill(database: Database, *, messages: int = 100) -> UUID:
    """Put a row into every table for each of two tenants, and old messages for one of them: its workspace."""
    tenant = settled(database)
    settled(database)
    database.execute(_MESSAGES, {"tenant": tenant.workspace, "count": messages})
    return tenant.workspace


def _columns(table: str) -> list[tuple[str, str]]:
    groups = [group.split() for group in TABLES[table].split(", ")]
    columns = [(name, words[0]) for words in groups for name in words[1:]]
    return [(name, kind) for name, kind in columns if (table, name) not in _LATER]


def _table(table: str) -> str:
    return f"CREATE TABLE public.{table} ({', '.join(_column(table, *column) for column in _columns(table))})"


def _column(table: str, name: str, kind: str) -> str:
    if name == "id":
        return "id bigserial PRIMARY KEY" if kind == "bigint" else "id uuid PRIMARY KEY DEFAULT gen_random_uuid()"
    default = "now()" if name in ("created_at", "updated_at") else _DEFAULTS.get(f"{table}.{name}")
    parent = _PARENTS.get(table, {}).get(name)
    return " ".join(
        [
            f"{name} {kind}",
            f"DEFAULT {default}" if default else "",
            f"REFERENCES {parent}" if parent else "",
            "UNIQUE" if (table, name) in _UNIQUE else "",
            "NOT NULL" if (table, name) in _REQUIRED else "",
        ]
    )
