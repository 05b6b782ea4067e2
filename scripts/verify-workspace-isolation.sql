-- Verifies that workspaces are kept apart: one row a check and table, those that failed first.
--
--   rls      row level security is on
--   policy   people can read by a policy, and no policy lets everybody through; none at all on job_queue
--   orphan   no row belongs to nobody: without workspace, tenant, creator or parent, as the table has them
--   leak     signed in as a person of one workspace, nothing of another workspace can be read
--   index    a workspace's rows are found by an index, once the table is large
--
-- Run it with any client, all statements in one connection, as a role that row level security does not bind and that
-- may act as authenticated (the owner of the tables, a superuser). It changes nothing: the transaction is read only
-- and is rolled back. It reads whole tables where no index serves, so give a replica of a busy database the work.

START TRANSACTION READ ONLY;

-- The tables: which rows are in one of the workspaces or tenants $1 or are the person's $2, and which are nobody's.
DO $tables$
BEGIN
    PERFORM set_config('isolation.results', '[]', true);
    PERFORM set_config('isolation.tables', (
        SELECT jsonb_agg(jsonb_build_object('name', name, 'owned', owned, 'orphaned', orphaned))::text
        FROM (VALUES
            ('workspace_members business_profiles leads content_calendar campaigns',
             'workspace_id = ANY ($1)',
             'workspace_id IS NULL'),
            ('cmo_brand_profiles cmo_icp_segments cmo_offers cmo_marketing_plans cmo_campaigns cmo_content_assets'
             ' cmo_funnels channel_outbox voice_agents'
             ' cro_targets cro_forecasts cro_deal_reviews cro_recommendations kernel_events',
             'coalesce(workspace_id, tenant_id) = ANY ($1)',
             'workspace_id IS NULL AND tenant_id IS NULL'),
            ('user_tenants crm_contacts voice_phone_numbers voice_call_records'
             ' ai_settings_resend ai_settings_twilio ai_settings_voice ai_settings_social',
             'tenant_id = ANY ($1)',
             'tenant_id IS NULL'),
            ('workspaces', 'id = ANY ($1)', NULL),
            ('user_roles', 'user_id = $2', 'user_id IS NULL'),
            ('email_sequences assets',
             'workspace_id = ANY ($1) OR (workspace_id IS NULL AND created_by = $2)',
             'workspace_id IS NULL AND created_by IS NULL'),
            ('asset_approvals',
             'asset_id IN (SELECT id FROM public.assets
                           WHERE workspace_id = ANY ($1) OR (workspace_id IS NULL AND created_by = $2))',
             'asset_id IS NULL'),
            ('deals',
             'lead_id IN (SELECT id FROM public.leads WHERE workspace_id = ANY ($1))',
             'lead_id IS NULL'),
            ('tasks',
             'coalesce(lead_id, (SELECT deals.lead_id FROM public.deals WHERE deals.id = tasks.deal_id))
              IN (SELECT id FROM public.leads WHERE workspace_id = ANY ($1))',
             'lead_id IS NULL AND deal_id IS NULL'),
            ('campaign_metrics',
             'campaign_id IN (SELECT id FROM public.campaigns WHERE workspace_id = ANY ($1))',
             'campaign_id IS NULL'),
            ('campaign_audit_log',
             'campaign_id IN (SELECT id FROM public.campaigns WHERE workspace_id = ANY ($1) UNION ALL
                              SELECT id FROM public.cmo_campaigns WHERE coalesce(workspace_id, tenant_id) = ANY ($1))',
             'campaign_id IS NULL'),
            ('kernel_decisions',
             'event_id IN (SELECT id FROM public.kernel_events WHERE coalesce(workspace_id, tenant_id) = ANY ($1))',
             'event_id IS NULL'),
            ('kernel_actions',
             'decision_id IN (SELECT decision.id FROM public.kernel_decisions AS decision
                              JOIN public.kernel_events AS event ON event.id = decision.event_id
                              WHERE coalesce(event.workspace_id, event.tenant_id) = ANY ($1))',
             'decision_id IS NULL'),
            ('job_queue', 'true', NULL),
            ('industry_verticals', NULL, NULL)
        ) AS rule (tables, owned, orphaned)
        CROSS JOIN string_to_table(tables, ' ') AS name
    ), true);
END
$tables$;

-- Orphans, and tables that are not there.
DO $orphans$
DECLARE
    results jsonb := '[]';
    checked record;
    found bigint;
BEGIN
    FOR checked IN
        SELECT * FROM jsonb_to_recordset(current_setting('isolation.tables')::jsonb) AS one (name text, orphaned text)
    LOOP
        IF to_regclass(format('public.%I', checked.name)) IS NULL THEN
            RAISE EXCEPTION 'table public.% is missing: migrate first', checked.name;
        ELSIF row_security_active(format('public.%I', checked.name)) THEN
            RAISE EXCEPTION '% does not see all rows of public.%', current_user, checked.name
                USING HINT = 'Run this as the owner of the tables.';
        END IF;
        CONTINUE WHEN checked.orphaned IS NULL;
        EXECUTE format('SELECT count(*) FROM public.%I WHERE %s', checked.name, checked.orphaned) INTO found;
        results := results || jsonb_build_object(
            'check', 'orphan', 'subject', checked.name, 'ok', found = 0,
            'detail', format('%s rows where %s', found, checked.orphaned));
    END LOOP;
    PERFORM set_config('isolation.results', results::text, true);
END
$orphans$;

-- Two people of two workspaces, neither of whom belongs to the other's: each looks for a hundred rows of the other by
-- id, and must see none.
DO $leaks$
DECLARE
    myself CONSTANT text := current_setting('role');
    results jsonb := current_setting('isolation.results')::jsonb;
    pair record;
    checked record;
    looked_for text;
    sought integer;
    seen integer;
    pairs integer := 0;
BEGIN
    PERFORM set_config('role', 'authenticated', true);  -- raises now, not within a check, where it is not allowed
    PERFORM set_config('role', myself, true);
    FOR pair IN
        WITH reach AS (
            SELECT owner_id AS person, id AS scope FROM public.workspaces WHERE owner_id IS NOT NULL
            UNION SELECT user_id, workspace_id FROM public.workspace_members
            UNION SELECT user_id, tenant_id FROM public.user_tenants
        ), sampled AS (
            SELECT person, array_agg(scope) AS scopes FROM reach
            WHERE person IN (
                SELECT reach.person FROM reach JOIN public.workspaces AS workspace ON workspace.id = reach.scope
                ORDER BY workspace.created_at LIMIT 50)
            GROUP BY person
        ), chosen AS (
            SELECT one.person AS one, one.scopes AS scopes_of_one,
                   other.person AS other, other.scopes AS scopes_of_other
            FROM sampled AS one JOIN sampled AS other ON one.person < other.person AND NOT one.scopes && other.scopes
            LIMIT 1
        )
        SELECT one AS reader, other AS owner, scopes_of_other AS scopes FROM chosen
        UNION ALL SELECT other, one, scopes_of_one FROM chosen
    LOOP
        pairs := pairs + 1;
        FOR checked IN
            SELECT * FROM jsonb_to_recordset(current_setting('isolation.tables')::jsonb) AS one (name text, owned text)
            WHERE owned IS NOT NULL
        LOOP
            EXECUTE format('SELECT string_agg(quote_literal(id), '',''), count(*)
                            FROM (SELECT id FROM public.%I WHERE %s LIMIT 100) AS sample', checked.name, checked.owned)
            INTO looked_for, sought USING pair.scopes, pair.owner;
            seen := 0;
            IF sought > 0 THEN
                BEGIN
                    PERFORM set_config(
                        'request.jwt.claims',
                        jsonb_build_object('sub', pair.reader, 'role', 'authenticated')::text, true);
                    PERFORM set_config('role', 'authenticated', true);
                    EXECUTE format('SELECT count(*) FROM public.%I WHERE id IN (%s)', checked.name, looked_for)
                    INTO seen;
                    PERFORM set_config('role', myself, true);
                EXCEPTION WHEN insufficient_privilege THEN
                    NULL;  -- not granted to people at all; leaving the block has restored the role
                END;
            END IF;
            results := results || jsonb_build_object(
                'check', 'leak', 'subject', checked.name, 'ok', seen = 0,
                'detail', format('a stranger sees %s of %s rows', seen, sought));
        END LOOP;
    END LOOP;
    IF pairs = 0 THEN
        results := results || jsonb_build_object(
            'check', 'leak', 'subject', 'all tables', 'ok', true,
            'detail', 'no two people of separate workspaces: nothing to compare');
    END IF;
    PERFORM set_config('isolation.results', results::text, true);
END
$leaks$;

WITH protected AS (
    SELECT class.oid, name, class.relrowsecurity, class.reltuples
    FROM jsonb_to_recordset(current_setting('isolation.tables')::jsonb) AS one (name text)
    JOIN pg_class AS class ON class.oid = to_regclass(format('public.%I', name))
), policies AS (
    -- Of those for people: everybody (0) and the two roles of the API.
    SELECT
        polrelid AS oid,
        string_agg(polname, ', ' ORDER BY polname) AS names,
        bool_or(polcmd IN ('r', '*')) AS readable,
        string_agg(polname, ', ') FILTER (
            WHERE 'true' IN (pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))) AS open_to_all
    FROM pg_policy
    WHERE polpermissive AND polroles && ARRAY[0, to_regrole('anon')::oid, to_regrole('authenticated')::oid]
    GROUP BY polrelid
), indexes AS (
    SELECT protected.oid, attribute.attnum, min(index.indexrelid::regclass::text) AS name
    FROM protected
    JOIN pg_attribute AS attribute ON attribute.attrelid = protected.oid AND attribute.attname = 'workspace_id'
    LEFT JOIN pg_index AS index
        ON index.indrelid = protected.oid AND index.indkey[0] = attribute.attnum
        AND index.indisvalid AND index.indpred IS NULL
    GROUP BY protected.oid, attribute.attnum
)
SELECT 'rls' AS "check", name AS subject, relrowsecurity AS ok,
       CASE WHEN relrowsecurity THEN 'on' ELSE 'off: everybody with a grant sees all rows' END AS detail
FROM protected
UNION ALL
SELECT 'policy', name,
       CASE name
           WHEN 'job_queue' THEN policies.names IS NULL
           WHEN 'industry_verticals' THEN coalesce(readable, false)
           ELSE coalesce(readable, false) AND open_to_all IS NULL
       END,
       coalesce(policies.names, 'none') || coalesce('; lets everybody through: ' || open_to_all, '')
FROM protected LEFT JOIN policies USING (oid)
UNION ALL
SELECT 'index', protected.name, indexes.name IS NOT NULL OR reltuples < 10000,
       coalesce(indexes.name, 'none on workspace_id') || format(', about %s rows', greatest(reltuples, 0))
FROM protected JOIN indexes USING (oid)
WHERE protected.name <> 'job_queue'  -- read by priority and time, never by workspace
UNION ALL
SELECT * FROM jsonb_to_recordset(current_setting('isolation.results')::jsonb)
    AS result ("check" text, subject text, ok boolean, detail text)
ORDER BY ok, "check", subject;

ROLLBACK;
