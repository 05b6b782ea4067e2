-- Who works where, and whom they sell to: workspaces, members, roles; leads, contacts, deals, tasks, sequences.
--
-- NOT NULL stands only on names and on the keys without which a row would belong nowhere. A text column whose values
-- the platform lists stays plain text: the platform adds values without asking us.

CREATE TABLE IF NOT EXISTS public.workspaces (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    slug text UNIQUE,
    owner_id uuid REFERENCES auth.users (id),
    settings jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.workspace_members (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL REFERENCES public.workspaces (id),
    user_id uuid NOT NULL,
    role text DEFAULT 'member',  -- owner, member, ...
    created_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.user_tenants (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    role text DEFAULT 'member',
    created_at timestamptz DEFAULT now()
);

DO $type$
BEGIN
    IF to_regtype('public.app_role') IS NULL THEN
        CREATE TYPE public.app_role AS ENUM ('admin', 'sales', 'manager');
    END IF;
END
$type$;

CREATE TABLE IF NOT EXISTS public.user_roles (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    role public.app_role NOT NULL,
    created_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.business_profiles (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid,
    workspace_id uuid NOT NULL REFERENCES public.workspaces (id),
    business_name text,
    business_description text,
    industry text,
    brand_colors jsonb,
    brand_fonts jsonb,
    logo_url text,
    target_audiences jsonb,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.leads (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL REFERENCES public.workspaces (id),
    email text,
    phone text,
    first_name text,
    last_name text,
    company text,
    status text DEFAULT 'new',  -- new, contacted, qualified, nurturing, closed_won, closed_lost
    score integer DEFAULT 0,
    source text,
    tags text[] DEFAULT '{}',
    segment_code text,
    custom_fields jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.crm_contacts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid,
    email text,
    phone text,
    first_name text,
    last_name text,
    company_name text,
    role_title text,
    status text DEFAULT 'prospect',  -- prospect, customer, inactive
    lifecycle_stage text,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.deals (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    lead_id uuid NOT NULL REFERENCES public.leads (id),
    name text NOT NULL,
    value numeric,
    stage text DEFAULT 'prospecting',  -- prospecting, qualification, ...
    probability integer,  -- per cent
    expected_close_date date,
    actual_close_date date,
    owner_id uuid,
    created_by uuid,
    notes text,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

-- A task hangs on a lead, or on a deal and through it on the deal's lead.
CREATE TABLE IF NOT EXISTS public.tasks (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    lead_id uuid REFERENCES public.leads (id),
    deal_id uuid REFERENCES public.deals (id),
    title text,
    description text,
    due_date timestamptz,
    priority text DEFAULT 'medium',  -- low, medium, high
    status text DEFAULT 'pending',  -- pending, completed
    assigned_to uuid,
    created_by uuid,
    completed_at timestamptz,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.email_sequences (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid,
    name text NOT NULL,
    description text,
    status text DEFAULT 'draft',  -- draft, active, paused
    trigger_type text DEFAULT 'manual',  -- manual, auto
    total_steps integer DEFAULT 0,
    enrolled_count integer DEFAULT 0,
    completed_count integer DEFAULT 0,
    created_by uuid,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
