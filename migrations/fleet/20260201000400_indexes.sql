-- Built CONCURRENTLY: nobody who writes to the queues waits for them. Each is here for one reader.

-- The claim: per channel, three bands by immutable expression, the earliest due first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS fleet_outbox_due ON public.channel_outbox (
    channel,
    (CASE WHEN priority > 0 THEN 0 WHEN priority < 0 THEN 2 ELSE 1 END),
    (coalesce(scheduled_at, created_at))
) WHERE status = 'scheduled';

-- The poller: per channel, what a vendor took and may never tell the end of by itself. Nothing else has an entry here.
CREATE INDEX CONCURRENTLY IF NOT EXISTS fleet_outbox_poll ON public.channel_outbox (channel, poll_at)
WHERE status = 'sent' AND poll_at IS NOT NULL;

-- Lists, newest first; what does not say when it was made is the oldest.
CREATE INDEX CONCURRENTLY IF NOT EXISTS fleet_outbox_created ON public.channel_outbox (
    (coalesce(created_at, '-infinity'::timestamptz)), id
);

-- A campaign's messages, in the order in which they are cancelled; those without one cost nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS fleet_outbox_campaign ON public.channel_outbox (campaign_id, id)
WHERE campaign_id IS NOT NULL;

-- The steps of a campaign's sequences that an answer ends, or keeps from another try: all else of the campaign has no
-- entry here, and a message without a sequence costs nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS fleet_outbox_sequence ON public.channel_outbox (campaign_id)
WHERE status IN ('scheduled', 'queued', 'sending', 'unknown') AND payload ->> 'stop_on_reply' = 'true';

-- A campaign's figures, to be brought up to date.
CREATE INDEX CONCURRENTLY IF NOT EXISTS fleet_metrics_campaign ON public.campaign_metrics (campaign_id);

-- The job relay, and the jobs that are at work.
CREATE INDEX CONCURRENTLY IF NOT EXISTS fleet_jobs_due ON public.job_queue (
    (coalesce(priority, 0)) DESC,
    (coalesce(scheduled_at, created_at))
) WHERE status = 'pending';

CREATE INDEX CONCURRENTLY IF NOT EXISTS fleet_jobs_running ON public.job_queue (lease_expires_at) WHERE status = 'running';

CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS fleet_jobs_unique_key ON public.job_queue (unique_key)
WHERE unique_key IS NOT NULL AND status IN ('pending', 'running');

-- Whose lead it is that wrote or called: by mail in any capitals, by number in any spelling (see fleet.lead_of).
CREATE INDEX CONCURRENTLY IF NOT EXISTS fleet_leads_email ON public.leads (workspace_id, lower(email))
WHERE email IS NOT NULL;

CREATE INDEX CONCURRENTLY IF NOT EXISTS fleet_leads_phone ON public.leads (
    workspace_id,
    right(regexp_replace(phone, '\D', '', 'g'), 10)
) WHERE phone IS NOT NULL;

-- A call that the platform has recorded itself is not recorded twice.
CREATE INDEX CONCURRENTLY IF NOT EXISTS fleet_calls_vapi ON public.voice_call_records (vapi_call_id)
WHERE vapi_call_id IS NOT NULL;
