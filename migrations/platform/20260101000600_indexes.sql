-- The platform's indexes by their listed names, and two without which no policy check would be cheap.
--
-- Built CONCURRENTLY: nobody who writes waits. An index of the same name is left as it is, whatever it covers.

-- Workspace isolation: most queries filter by it.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_leads_workspace_id ON public.leads (workspace_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_campaigns_workspace_id ON public.campaigns (workspace_id);

-- Filters of the lists.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_leads_status ON public.leads (status);
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_campaigns_status ON public.campaigns (status);

-- Sorting, in the CRM and in reports.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_leads_created_at ON public.leads (created_at);
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_leads_score ON public.leads (score);
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_deals_value ON public.deals (value);

-- Search for a person or a company.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_leads_email ON public.leads (email);
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_leads_name ON public.leads (last_name, first_name);
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_leads_company ON public.leads (company);
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_crm_contacts_email ON public.crm_contacts (email);

-- The outbox by state and time.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_channel_outbox_status ON public.channel_outbox (status, scheduled_at);

-- Every row that a person reads asks whether the person belongs to its workspace or tenant.
CREATE INDEX CONCURRENTLY IF NOT EXISTS fleet_workspace_members_access
    ON public.workspace_members (workspace_id, user_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS fleet_user_tenants_access
    ON public.user_tenants (tenant_id, user_id);
