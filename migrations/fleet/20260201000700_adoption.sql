-- A live database is adopted, not stormed: what was due long ago waits, visibly, until a person has looked at it.

CREATE TABLE IF NOT EXISTS fleet.adoption (
    adopted_at timestamptz NOT NULL,
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one)
);

GRANT SELECT ON fleet.adoption TO fleet;

-- Another sender is at work where messages went out in the last day that we did not send, or where pg_cron has a job
-- that names the outbox (whoever may not read its jobs sees none). Then everything waits; otherwise only what was due
-- more than a day ago.
DO $$
DECLARE
    other_sender text;
    cron_jobs bigint := 0;
BEGIN
    IF EXISTS (SELECT FROM fleet.adoption) THEN
        RETURN;
    END IF;
    BEGIN
        IF to_regclass('cron.job') IS NOT NULL THEN
            EXECUTE 'SELECT count(*) FROM cron.job WHERE command ILIKE ''%channel_outbox%''' INTO cron_jobs;
        END IF;
    EXCEPTION WHEN insufficient_privilege THEN
        cron_jobs := 0;
    END;
    IF cron_jobs > 0 THEN
        other_sender := cron_jobs || ' pg_cron job(s) name channel_outbox';
    ELSIF EXISTS (SELECT FROM public.channel_outbox WHERE status IN ('sent', 'delivered') AND sent_at > now() - interval '24 hours') THEN
        other_sender := 'messages were sent in the last 24 hours, not by this fleet';
    END IF;

    INSERT INTO fleet.adoption (adopted_at) VALUES (now());
    IF other_sender IS NOT NULL THEN
        INSERT INTO fleet.pauses (scope_key, kind, due_before, reason, created_by)
        VALUES ('everything', 'adoption', 'infinity', 'another sender seems to be at work: ' || other_sender, 'fleet db migrate');
    ELSIF EXISTS (
        SELECT FROM public.channel_outbox
        WHERE status = 'scheduled' AND coalesce(scheduled_at, created_at) <= now() - interval '24 hours'
    ) THEN
        INSERT INTO fleet.pauses (scope_key, kind, due_before, reason, created_by)
        VALUES ('everything', 'adoption', now() - interval '24 hours', 'due more than 24 hours before the fleet adopted this database', 'fleet db migrate');
    END IF;
END
$$;
