-- The analytics surface: four views for dashboards. Transactional code must not read them: they aggregate whole
-- workspaces, and a figure in them may change its meaning without notice.
--
-- Each runs with the rights of whoever asks (security_invoker), so that row level security holds inside it. Each is
-- made only where no relation has its name; the grant comes with the making. Words are compared as text, because an
-- owner's older table may hold them in an enum that lacks some of them.

-- One row a campaign: what it cost and brought. Demonstration figures never count.
DO $view$
BEGIN
    IF to_regclass('public.cmo_performance_snapshot') IS NULL THEN
        CREATE VIEW public.cmo_performance_snapshot WITH (security_invoker = true) AS
        SELECT
            campaign.workspace_id,
            campaign.id AS campaign_id,
            campaign.name AS campaign_name,
            campaign.channel,
            campaign.status,
            campaign.budget_allocated,
            coalesce(sum(metric.impressions), 0) AS impressions,
            coalesce(sum(metric.clicks), 0) AS clicks,
            coalesce(sum(metric.conversions), 0) AS conversions,
            coalesce(sum(metric.revenue), 0) AS revenue,
            coalesce(sum(metric.cost), 0) AS cost,
            coalesce(sum(metric.sent_count), 0) AS sent_count,
            coalesce(sum(metric.delivered_count), 0) AS delivered_count,
            coalesce(sum(metric.open_count), 0) AS open_count,
            coalesce(sum(metric.bounce_count), 0) AS bounce_count,
            coalesce(sum(metric.unsubscribe_count), 0) AS unsubscribe_count,
            round(sum(metric.delivered_count)::numeric / nullif(sum(metric.sent_count), 0), 4) AS delivery_rate,
            round(sum(metric.open_count)::numeric / nullif(sum(metric.delivered_count), 0), 4) AS open_rate,
            round(sum(metric.clicks)::numeric / nullif(sum(metric.impressions), 0), 4) AS click_rate,
            round((sum(metric.revenue) / nullif(sum(metric.cost), 0))::numeric, 4) AS return_on_cost,
            max(metric.last_synced_at) AS last_synced_at
        FROM public.campaigns AS campaign
        LEFT JOIN public.campaign_metrics AS metric
            ON metric.campaign_id = campaign.id AND metric.data_mode::text = 'real'
        GROUP BY campaign.id;

        COMMENT ON VIEW public.cmo_performance_snapshot IS 'For dashboards. Transactional code must not read it.';
        GRANT SELECT ON public.cmo_performance_snapshot TO authenticated, service_role;
    END IF;
END
$view$;

-- One row a workspace and stage: the open deals in it, weighted by their probability.
DO $view$
BEGIN
    IF to_regclass('public.cro_pipeline_view') IS NULL THEN
        CREATE VIEW public.cro_pipeline_view WITH (security_invoker = true) AS
        SELECT
            lead.workspace_id,
            deal.stage,
            count(*) AS deal_count,
            coalesce(sum(deal.value), 0) AS total_value,
            coalesce(sum(deal.value * deal.probability / 100.0), 0) AS weighted_value,
            round(avg(deal.probability)::numeric, 1) AS average_probability,
            min(deal.expected_close_date) AS next_expected_close_date
        FROM public.deals AS deal
        JOIN public.leads AS lead ON lead.id = deal.lead_id
        WHERE deal.actual_close_date IS NULL AND coalesce(deal.stage::text, '') NOT IN ('closed_won', 'closed_lost')
        GROUP BY lead.workspace_id, deal.stage;

        COMMENT ON VIEW public.cro_pipeline_view IS 'For dashboards. Transactional code must not read it.';
        GRANT SELECT ON public.cro_pipeline_view TO authenticated, service_role;
    END IF;
END
$view$;

-- One row a workspace: how many leads stand at each step, and what share of the decided ones was won.
DO $view$
BEGIN
    IF to_regclass('public.lead_funnel_analysis') IS NULL THEN
        CREATE VIEW public.lead_funnel_analysis WITH (security_invoker = true) AS
        SELECT
            workspace_id,
            count(*) AS lead_count,
            count(*) FILTER (WHERE status::text = 'new') AS new_count,
            count(*) FILTER (WHERE status::text = 'contacted') AS contacted_count,
            count(*) FILTER (WHERE status::text = 'qualified') AS qualified_count,
            count(*) FILTER (WHERE status::text = 'nurturing') AS nurturing_count,
            count(*) FILTER (WHERE status::text = 'closed_won') AS won_count,
            count(*) FILTER (WHERE status::text = 'closed_lost') AS lost_count,
            round(count(*) FILTER (WHERE status::text <> 'new')::numeric / count(*), 4) AS contact_rate,
            round(count(*) FILTER (WHERE status::text = 'closed_won')::numeric
                  / nullif(count(*) FILTER (WHERE status::text IN ('closed_won', 'closed_lost')), 0), 4) AS win_rate,
            round(avg(score)::numeric, 1) AS average_score
        FROM public.leads
        GROUP BY workspace_id;

        COMMENT ON VIEW public.lead_funnel_analysis IS 'For dashboards. Transactional code must not read it.';
        GRANT SELECT ON public.lead_funnel_analysis TO authenticated, service_role;
    END IF;
END
$view$;

-- One row a workspace or tenant, period and scenario: the latest forecast beside the target of the whole company.
DO $view$
BEGIN
    IF to_regclass('public.revenue_forecast_view') IS NULL THEN
        CREATE VIEW public.revenue_forecast_view WITH (security_invoker = true) AS
        SELECT DISTINCT ON (coalesce(forecast.workspace_id, forecast.tenant_id), forecast.period, forecast.scenario)
            forecast.workspace_id,
            forecast.tenant_id,
            forecast.period,
            forecast.scenario,
            forecast.forecast_new_arr,
            forecast.confidence,
            forecast.forecast_new_arr * forecast.confidence AS expected_new_arr,
            target.target_new_arr,
            target.target_pipeline,
            target.target_new_arr - forecast.forecast_new_arr AS missing_new_arr,
            forecast.updated_at AS forecast_at
        FROM public.cro_forecasts AS forecast
        LEFT JOIN public.cro_targets AS target
            ON coalesce(target.workspace_id, target.tenant_id) = coalesce(forecast.workspace_id, forecast.tenant_id)
            AND target.period = forecast.period
            AND target.owner_type::text = 'global'
        ORDER BY coalesce(forecast.workspace_id, forecast.tenant_id), forecast.period, forecast.scenario,
                 forecast.updated_at DESC NULLS LAST, target.updated_at DESC NULLS LAST;

        COMMENT ON VIEW public.revenue_forecast_view IS 'For dashboards. Transactional code must not read it.';
        GRANT SELECT ON public.revenue_forecast_view TO authenticated, service_role;
    END IF;
END
$view$;
