-- The ledger cannot be reset from outside, a promise outlives its row, and an insert wakes a sleeping relay.

-- Other roles may change or delete a message only while nothing was tried for it, or take it back. What the fleet never
-- touched stays the business of who sent it: a sender of the platform's own may say that a message went out, or what
-- became of it, so that the fleet does not send it as well. Columns that the fleet does not know are nobody's business.
CREATE OR REPLACE FUNCTION fleet.guard_outbox() RETURNS trigger
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    known CONSTANT text[] := ARRAY['queued', 'sending', 'sent', 'delivered', 'failed', 'cancelled', 'suppressed', 'unknown'];
    ended CONSTANT text[] := ARRAY['sent', 'delivered', 'failed'];
    is_person CONSTANT boolean := current_user IN ('anon', 'authenticated');
    untouched CONSTANT boolean := OLD.attempts = 0 AND (OLD.status IS NULL OR OLD.status::text <> ALL (known));
    ended_by_others CONSTANT boolean := OLD.attempts = 0 AND OLD.finalized_at IS NULL AND OLD.status::text = ANY (ended);
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF untouched OR (ended_by_others AND NOT is_person) THEN
            RETURN OLD;
        END IF;
    ELSIF (NEW.id, NEW.attempts, NEW.attempts_forgiven, NEW.crashes, NEW.lease_token, NEW.lease_expires_at, NEW.send_key,
           NEW.sender, NEW.provider_message_id, NEW.error_class, NEW.finalized_at, NEW.poll_at)
          IS DISTINCT FROM
          (OLD.id, OLD.attempts, OLD.attempts_forgiven, OLD.crashes, OLD.lease_token, OLD.lease_expires_at, OLD.send_key,
           OLD.sender, OLD.provider_message_id, OLD.error_class, OLD.finalized_at, OLD.poll_at) THEN
        RAISE EXCEPTION 'message %: only the fleet writes the columns of its ledger', OLD.id USING ERRCODE = '42501';
    ELSIF (NEW.workspace_id, NEW.tenant_id, NEW.channel, NEW.provider, NEW.recipient_id, NEW.recipient_email,
           NEW.recipient_phone, NEW.payload, NEW.status, NEW.scheduled_at, NEW.sent_at, NEW.provider_response,
           NEW.idempotency_key, NEW.created_at, NEW.campaign_id, NEW.asset_id, NEW.priority, NEW.expires_at,
           NEW.error_code, NEW.error_message)
          IS NOT DISTINCT FROM
          (OLD.workspace_id, OLD.tenant_id, OLD.channel, OLD.provider, OLD.recipient_id, OLD.recipient_email,
           OLD.recipient_phone, OLD.payload, OLD.status, OLD.scheduled_at, OLD.sent_at, OLD.provider_response,
           OLD.idempotency_key, OLD.created_at, OLD.campaign_id, OLD.asset_id, OLD.priority, OLD.expires_at,
           OLD.error_code, OLD.error_message) THEN
        RETURN NEW;
    ELSE
        NEW.updated_at := now();
        IF NEW.status::text = 'cancelled' AND (untouched OR OLD.status::text IN ('scheduled', 'queued')) THEN
            NEW.finalized_at := now();
            NEW.lease_token := NULL;
            NEW.lease_expires_at := NULL;
            RETURN NEW;
        END IF;
        IF untouched AND (NEW.status IS NULL OR NEW.status::text <> ALL (known)) THEN
            RETURN NEW;
        END IF;
        IF (untouched OR ended_by_others) AND NEW.status::text = ANY (ended) AND NOT is_person THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'message % is % after % attempts: only the fleet may change it now', OLD.id, OLD.status, OLD.attempts
        USING ERRCODE = '42501', HINT = 'While it is scheduled or queued, status may be set to cancelled; else use: fleet messages retry|cancel.';
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'public.channel_outbox'::regclass AND tgname = 'fleet_guard') THEN
        CREATE TRIGGER fleet_guard BEFORE UPDATE OR DELETE ON public.channel_outbox
            FOR EACH ROW WHEN (current_user <> 'fleet') EXECUTE FUNCTION fleet.guard_outbox();
    END IF;
END
$$;

-- An insert of a promise that was kept, and whose row is gone since, is a no-op, as it is while the row stands.
CREATE OR REPLACE FUNCTION fleet.keep_promise() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    IF EXISTS (SELECT FROM fleet.promises WHERE key_hash = sha256(convert_to(NEW.idempotency_key, 'UTF8'))) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'public.channel_outbox'::regclass AND tgname = 'fleet_keep_promise') THEN
        CREATE TRIGGER fleet_keep_promise BEFORE INSERT ON public.channel_outbox
            FOR EACH ROW WHEN (NEW.idempotency_key IS NOT NULL) EXECUTE FUNCTION fleet.keep_promise();
    END IF;
END
$$;

-- A message without any time would be due never: it is due when it was written.
CREATE OR REPLACE FUNCTION fleet.date_message() RETURNS trigger
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    NEW.created_at := now();
    RETURN NEW;
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'public.channel_outbox'::regclass AND tgname = 'fleet_date_message') THEN
        CREATE TRIGGER fleet_date_message BEFORE INSERT OR UPDATE OF scheduled_at, created_at ON public.channel_outbox
            FOR EACH ROW WHEN (NEW.scheduled_at IS NULL AND NEW.created_at IS NULL) EXECUTE FUNCTION fleet.date_message();
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION fleet.note_promise() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    INSERT INTO fleet.promises (key_hash, message_id)
    VALUES (sha256(convert_to(OLD.idempotency_key, 'UTF8')), OLD.id)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

-- A row that was never tried and is deleted was no promise yet: its key is free again.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'public.channel_outbox'::regclass AND tgname = 'fleet_note_promise') THEN
        CREATE TRIGGER fleet_note_promise AFTER DELETE ON public.channel_outbox
            FOR EACH ROW WHEN (OLD.idempotency_key IS NOT NULL AND (OLD.attempts > 0 OR OLD.status::text <> 'scheduled'))
            EXECUTE FUNCTION fleet.note_promise();
    END IF;
END
$$;

-- NOTIFY takes a lock that all committing sessions share, so an insert notifies only while every relay sleeps.
-- It never fails for our sake: an error here costs a poll interval.
CREATE OR REPLACE FUNCTION fleet.wake_relay() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM fleet.relays WHERE awake_until > clock_timestamp()) THEN
        PERFORM pg_notify('fleet_due', TG_TABLE_NAME);
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;

DO $$
DECLARE
    queue regclass;
BEGIN
    FOREACH queue IN ARRAY ARRAY['public.channel_outbox', 'public.job_queue']::regclass[] LOOP
        IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = queue AND tgname = 'fleet_wake_relay') THEN
            EXECUTE format('CREATE TRIGGER fleet_wake_relay AFTER INSERT ON %s FOR EACH STATEMENT EXECUTE FUNCTION fleet.wake_relay()', queue);
        END IF;
    END LOOP;
END
$$;
