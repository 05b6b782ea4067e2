-- What is said, to whom and when: the AI CMO's tables, assets with their approvals, the content calendar.
--
-- Tables with both keys: workspace_id is what people see, tenant_id what older parts of the platform know.

CREATE TABLE IF NOT EXISTS public.cmo_brand_profiles (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid,
    tenant_id uuid,
    business_name text,
    industry text,
    icp_description text,
    value_proposition text,
    brand_voice text,
    brand_personality text,
    competitors text[] DEFAULT '{}',
    differentiators text[] DEFAULT '{}',
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.cmo_icp_segments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid,
    tenant_id uuid,
    name text NOT NULL,
    segment_code text,
    description text,
    firmographics jsonb DEFAULT '{}',
    psychographics jsonb DEFAULT '{}',
    pain_points text[] DEFAULT '{}',
    priority_score integer DEFAULT 0,
    is_active boolean DEFAULT true,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.cmo_offers (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid,
    tenant_id uuid,
    name text NOT NULL,
    description text,
    value_proposition text,
    pricing_model text,
    target_segment_codes text[] DEFAULT '{}',
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.cmo_marketing_plans (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid,
    tenant_id uuid,
    plan_name text NOT NULL,
    plan_summary text,
    goals jsonb DEFAULT '{}',
    kpis jsonb DEFAULT '{}',
    budget_allocated numeric,
    status text DEFAULT 'draft',  -- draft, active, completed
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.cmo_campaigns (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid,
    tenant_id uuid,
    campaign_name text NOT NULL,
    channels text[] DEFAULT '{}',
    target_tags text[] DEFAULT '{}',
    target_segment_codes text[] DEFAULT '{}',
    icp text,
    offer text,
    desired_result text,
    status text DEFAULT 'draft',  -- draft, in_progress, active, completed
    budget_allocated numeric,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.cmo_content_assets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid,
    tenant_id uuid,
    campaign_id uuid REFERENCES public.cmo_campaigns (id),
    channel text,  -- email, social, voice, landing_page
    content_type text,  -- email_copy, social_post, video_script, voicemail_drop
    key_message text,
    asset_url text,
    status text DEFAULT 'draft',  -- draft, scheduled, deployed
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.cmo_funnels (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid,
    tenant_id uuid,
    funnel_name text NOT NULL,
    stages jsonb DEFAULT '[]',
    conversion_targets jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

DO $type$
BEGIN
    IF to_regtype('public.asset_type') IS NULL THEN
        CREATE TYPE public.asset_type AS ENUM ('video', 'email', 'voice', 'landing_page', 'website');
    END IF;
END
$type$;

-- Shared by an asset and its approvals.
DO $type$
BEGIN
    IF to_regtype('public.asset_status') IS NULL THEN
        CREATE TYPE public.asset_status AS ENUM ('draft', 'review', 'approved', 'live');
    END IF;
END
$type$;

CREATE TABLE IF NOT EXISTS public.assets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid,
    type public.asset_type,
    status public.asset_status DEFAULT 'draft',
    name text NOT NULL,
    description text,
    fal_id text,
    vapi_id text,
    external_id text,
    preview_url text,
    segment_id uuid,
    channel text,
    goal text,
    content jsonb DEFAULT '{}',
    external_project_url text,
    custom_domain text,
    deployment_status text DEFAULT 'staging',  -- staging, live
    views integer DEFAULT 0,
    created_by uuid,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.asset_approvals (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    asset_id uuid NOT NULL REFERENCES public.assets (id),
    status public.asset_status DEFAULT 'draft',
    comments text,
    approved_by uuid,
    created_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.content_calendar (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL REFERENCES public.workspaces (id),
    title text,
    description text,
    content_type text,
    scheduled_date timestamptz,
    status text DEFAULT 'scheduled',  -- scheduled, published, cancelled
    asset_id uuid REFERENCES public.assets (id),
    created_by uuid,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
