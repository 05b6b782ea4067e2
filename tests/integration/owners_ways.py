"""What single owners do differently from the description, and a migration takes as it is or adapts by itself.

Each way has a name and the statements that bring it about. What a migration cannot take is in `owners_obstacles`.
"""

WAYS = {
    "check on status": """
        ALTER TABLE channel_outbox
            ADD CONSTRAINT outbox_status CHECK (status IN ('scheduled','sent','delivered','failed')),
            ADD CONSTRAINT "Channel's" CHECK (channel IN ('email','sms','voice','linkedin')) NOT VALID;
        ALTER TABLE job_queue ADD CHECK (status = ANY (ARRAY['pending','running','completed','failed']))
    """,
    "check with a pattern": """
        ALTER TABLE channel_outbox ADD CHECK (status LIKE 's%' OR status ~ '^(delivered|failed)$')
    """,
    "check over two columns": """
        ALTER TABLE channel_outbox ADD CHECK (
            (status = 'scheduled' AND sent_at IS NULL) OR (status IN ('sent','delivered') AND sent_at IS NOT NULL)
            OR status = 'failed')
    """,
    "enum status": """
        CREATE TYPE outbox_status AS ENUM ('scheduled','sent','delivered','failed');
        ALTER TABLE channel_outbox ALTER status DROP DEFAULT,
            ALTER status TYPE outbox_status USING status::outbox_status, ALTER status SET DEFAULT 'scheduled'
    """,
    "enum status with a check": """
        CREATE TYPE outbox_status AS ENUM ('scheduled','sent','delivered','failed');
        ALTER TABLE channel_outbox ALTER status DROP DEFAULT,
            ALTER status TYPE outbox_status USING status::outbox_status, ALTER status SET DEFAULT 'scheduled',
            ADD CHECK (status IN ('scheduled','sent','delivered','failed'))
    """,
    "enum channel and provider": """
        CREATE TYPE channel AS ENUM ('email','sms','voice','linkedin');
        CREATE TYPE "Provider" AS ENUM ('resend','twilio','vapi');
        ALTER TABLE channel_outbox ALTER channel TYPE channel USING channel::channel,
            ALTER provider TYPE "Provider" USING provider::"Provider"
    """,
    "one enum for both queues": """
        CREATE TYPE queue_status AS ENUM ('scheduled','sent','delivered','failed','pending','running','completed');
        ALTER TABLE channel_outbox ALTER status DROP DEFAULT, ALTER status TYPE queue_status USING status::queue_status,
            ALTER status SET DEFAULT 'scheduled';
        ALTER TABLE job_queue ALTER status DROP DEFAULT, ALTER status TYPE queue_status USING status::queue_status,
            ALTER status SET DEFAULT 'pending'
    """,
    "enum job type": """
        CREATE TYPE job_type AS ENUM ('retry_messages','cancel_messages','refresh_scores','something');
        ALTER TABLE job_queue ALTER job_type TYPE job_type USING job_type::job_type
    """,
    "varchar": """
        ALTER TABLE channel_outbox ALTER status TYPE varchar(20), ALTER channel TYPE varchar(20),
            ALTER provider TYPE varchar(50), ALTER recipient_email TYPE varchar(320),
            ALTER idempotency_key TYPE varchar(255);
        ALTER TABLE job_queue ALTER status TYPE varchar(20), ALTER job_type TYPE varchar(100)
    """,
    "domains": """
        CREATE DOMAIN outbox_status AS text CHECK (length(VALUE) < 20);
        CREATE DOMAIN address AS text CHECK (VALUE LIKE '%@%');
        CREATE DOMAIN tenant AS uuid;
        ALTER TABLE channel_outbox ALTER status TYPE outbox_status, ALTER recipient_email TYPE address,
            ALTER tenant_id TYPE tenant
    """,
    "extra columns": """
        ALTER TABLE channel_outbox ADD opened_at timestamptz, ADD metadata jsonb NOT NULL DEFAULT '{}', ADD note text,
            ADD error_message text NOT NULL DEFAULT '', ADD updated_at timestamptz DEFAULT now();
        ALTER TABLE job_queue ALTER error_message SET DEFAULT '', ADD worker_name text
    """,
    "policy names taken": """
        CREATE POLICY fleet_all ON channel_outbox FOR SELECT USING (false);
        CREATE POLICY fleet_all ON leads FOR SELECT USING (false);
        CREATE POLICY fleet_all_1 ON leads FOR DELETE USING (false);
        DROP POLICY workspace_read ON channel_outbox;
        CREATE POLICY workspace_read ON channel_outbox FOR SELECT USING (status = 'delivered')
    """,
    "unknown tables": """
        DO $$ BEGIN FOR i IN 1 .. 40 LOOP
            EXECUTE format('CREATE TABLE other_%s (id bigserial PRIMARY KEY, name float DEFAULT random())', i);
            EXECUTE format('INSERT INTO other_%s SELECT FROM generate_series(1, 20)', i);
        END LOOP; END $$
    """,
    "triggers": """
        ALTER TABLE channel_outbox ADD updated_at timestamptz DEFAULT now();
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
        CREATE TRIGGER set_updated_at BEFORE UPDATE ON channel_outbox FOR EACH ROW EXECUTE FUNCTION touch();
        CREATE TABLE outbox_history (at timestamptz DEFAULT now(), id uuid, status text);
        CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
            BEGIN INSERT INTO outbox_history (id, status) VALUES (NEW.id, NEW.status); RETURN NULL; END $$;
        CREATE TRIGGER remember AFTER UPDATE OF status ON channel_outbox FOR EACH ROW EXECUTE FUNCTION remember()
    """,
    "publication": """
        CREATE PUBLICATION realtime FOR TABLE channel_outbox, job_queue;
        ALTER TABLE channel_outbox REPLICA IDENTITY FULL
    """,
    "publication of everything": "CREATE PUBLICATION everything FOR ALL TABLES",
    "views": """
        CREATE VIEW open_messages AS SELECT id, status, channel, payload FROM channel_outbox WHERE status = 'scheduled';
        CREATE VIEW all_messages AS SELECT * FROM channel_outbox
    """,
    "missing columns": """
        ALTER TABLE channel_outbox DROP provider_response, DROP sent_at, DROP idempotency_key, DROP recipient_id;
        ALTER TABLE job_queue DROP priority, DROP retry_count, DROP started_at
    """,
    "no unique key": "ALTER TABLE channel_outbox DROP CONSTRAINT channel_outbox_idempotency_key_key",
    "index names taken": """
        DROP INDEX idx_channel_outbox_status;
        CREATE INDEX idx_channel_outbox_status ON channel_outbox (provider);
        CREATE INDEX idx_deals_value ON deals (name)
    """,
    "status empty": "UPDATE channel_outbox SET status = NULL WHERE status = 'failed'",
    "words of its own": "UPDATE channel_outbox SET status = 'draft' WHERE status = 'failed'",
    "broad grants": """
        DO $$
        DECLARE
            wanted text;
        BEGIN
            FOREACH wanted IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
                IF to_regrole(wanted) IS NULL THEN
                    EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
                END IF;
            END LOOP;
        END
        $$;
        GRANT ALL ON ALL TABLES IN SCHEMA public TO anon, authenticated, service_role;
        ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO anon, authenticated
    """,
    "row level security off": """
        ALTER TABLE channel_outbox DISABLE ROW LEVEL SECURITY;
        ALTER TABLE leads DISABLE ROW LEVEL SECURITY
    """,
}
