-- What the fleet keeps on the platform's two queues. All of it nullable or defaulted: a row inserted with the
-- platform's own columns is complete. One ALTER each, because each takes the table's lock once.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'public.channel_outbox'::regclass AND attname = 'poll_at') THEN
        ALTER TABLE public.channel_outbox
            ADD COLUMN IF NOT EXISTS campaign_id uuid,
            ADD COLUMN IF NOT EXISTS asset_id uuid,
            ADD COLUMN IF NOT EXISTS priority integer DEFAULT 0,
            ADD COLUMN IF NOT EXISTS expires_at timestamptz,
            ADD COLUMN IF NOT EXISTS attempts integer NOT NULL DEFAULT 0,
            ADD COLUMN IF NOT EXISTS attempts_forgiven integer NOT NULL DEFAULT 0,
            ADD COLUMN IF NOT EXISTS crashes smallint NOT NULL DEFAULT 0,
            ADD COLUMN IF NOT EXISTS lease_token uuid,
            ADD COLUMN IF NOT EXISTS lease_expires_at timestamptz,
            ADD COLUMN IF NOT EXISTS send_key uuid,
            ADD COLUMN IF NOT EXISTS sender text,
            ADD COLUMN IF NOT EXISTS provider_message_id text,
            ADD COLUMN IF NOT EXISTS error_class text,
            ADD COLUMN IF NOT EXISTS error_code text,
            ADD COLUMN IF NOT EXISTS error_message text,
            ADD COLUMN IF NOT EXISTS finalized_at timestamptz,
            ADD COLUMN IF NOT EXISTS poll_at timestamptz,
            ADD COLUMN IF NOT EXISTS updated_at timestamptz DEFAULT now();
    END IF;
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'public.job_queue'::regclass AND attname = 'lease_token') THEN
        ALTER TABLE public.job_queue
            ADD COLUMN IF NOT EXISTS workspace_id uuid,
            ADD COLUMN IF NOT EXISTS unique_key text,
            ADD COLUMN IF NOT EXISTS max_attempts integer NOT NULL DEFAULT 3,
            ADD COLUMN IF NOT EXISTS expires_at timestamptz,
            ADD COLUMN IF NOT EXISTS lease_token uuid,
            ADD COLUMN IF NOT EXISTS lease_expires_at timestamptz,
            ADD COLUMN IF NOT EXISTS progress jsonb,
            ADD COLUMN IF NOT EXISTS updated_at timestamptz DEFAULT now();
    END IF;
END
$$;

COMMENT ON COLUMN public.channel_outbox.priority IS 'above 0 urgent, 0 normal, below 0 bulk; within a band the earliest due goes first';
COMMENT ON COLUMN public.channel_outbox.attempts IS 'requests made for this message so far';
COMMENT ON COLUMN public.channel_outbox.attempts_forgiven IS 'requests made before support last scheduled it again; they do not count against its budget';
COMMENT ON COLUMN public.channel_outbox.crashes IS 'claims that ran out in the hands of a worker, before anything was sent; at three it has failed';
COMMENT ON COLUMN public.channel_outbox.poll_at IS 'while it is sent: when its vendor is asked next what became of it; null where it is not asked, or no more';
COMMENT ON COLUMN public.channel_outbox.send_key IS 'of its latest batch: the key that the vendor was handed';
