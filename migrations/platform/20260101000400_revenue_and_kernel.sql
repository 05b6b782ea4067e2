-- What the platform decides by itself: revenue targets and advice, the kernel's events, decisions and actions, jobs,
-- and the catalogue of industries that every tenant reads.

CREATE TABLE IF NOT EXISTS public.cro_targets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid,
    workspace_id uuid,
    period text,  -- 2026-Q1, 2025-12
    owner_type text,  -- rep, team, global
    owner_id text,
    target_new_arr numeric,
    target_pipeline numeric,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.cro_forecasts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid,
    workspace_id uuid,
    period text,
    scenario text,  -- base, stretch, commit
    forecast_new_arr numeric,
    confidence numeric,  -- 0 to 1
    notes text,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.cro_deal_reviews (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid,
    workspace_id uuid,
    deal_id uuid REFERENCES public.deals (id),
    summary_md text,
    risks text,
    next_steps text,
    score numeric,  -- 0 to 100
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.cro_recommendations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid,
    workspace_id uuid,
    rec_type text,  -- close_deal, expand, at_risk
    priority text DEFAULT 'medium',  -- high, medium, low
    title text,
    description text,
    deal_id uuid,
    lead_id uuid,
    status text DEFAULT 'open',  -- open, in_progress, done
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.kernel_events (
    id bigserial PRIMARY KEY,
    event_type text,  -- deal.updated, lead.created, ...
    tenant_id uuid,
    workspace_id uuid,
    entity_type text,
    entity_id text,
    payload jsonb DEFAULT '{}',
    metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.kernel_decisions (
    id bigserial PRIMARY KEY,
    event_id bigint NOT NULL REFERENCES public.kernel_events (id),
    rule_name text,
    decision_outcome text,
    reason text,
    metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.kernel_actions (
    id bigserial PRIMARY KEY,
    decision_id bigint NOT NULL REFERENCES public.kernel_decisions (id),
    action_type text,  -- send_email, create_task, ...
    status text DEFAULT 'pending',  -- pending, completed, failed
    result jsonb,
    created_at timestamptz DEFAULT now(),
    completed_at timestamptz
);

-- Jobs are the service roles' own: nobody else is granted anything. As with the outbox, an owner who has the table
-- decides who may touch it, so the grant comes with the making of it and never later.
DO $table$
BEGIN
    IF to_regclass('public.job_queue') IS NULL THEN
        CREATE TABLE public.job_queue (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            workspace_id uuid,
            job_type text,
            payload jsonb DEFAULT '{}',
            status text DEFAULT 'pending',  -- pending, running, completed, failed
            priority integer DEFAULT 0,
            scheduled_at timestamptz,
            started_at timestamptz,
            completed_at timestamptz,
            retry_count integer DEFAULT 0,
            error_message text,
            created_at timestamptz DEFAULT now()
        );
        GRANT SELECT, INSERT, UPDATE, DELETE ON public.job_queue TO service_role;
    END IF;
END
$table$;

CREATE TABLE IF NOT EXISTS public.industry_verticals (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    slug text,
    description text,
    typical_icp jsonb DEFAULT '{}',
    common_pain_points text[] DEFAULT '{}',
    sample_offers jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now()
);
