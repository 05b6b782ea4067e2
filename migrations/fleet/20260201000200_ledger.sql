-- What was started, what was tried, and what the vendors said of it.

-- One row per start in flight; it goes when its last member is settled. Its lease is the lease of its members.
CREATE TABLE IF NOT EXISTS fleet.batches (
    send_key uuid PRIMARY KEY,
    channel text NOT NULL,
    provider text NOT NULL,
    account text NOT NULL,                -- fingerprint of the credentials it was started under
    account_tenant_id uuid NOT NULL,      -- whose credentials; the nil uuid for the environment's
    member_ids uuid[] NOT NULL,           -- in the order in which they stand in the request
    addresses text[] NOT NULL,            -- of the members, in the same order; null where the channel has none
    body bytea,                           -- the exact request, compressed; only where the vendor honours the key
    first_sent_at timestamptz NOT NULL,
    tainted boolean NOT NULL DEFAULT false,   -- a request under this key ended unknown: only a replay may follow
    replays integer NOT NULL DEFAULT 0,
    worker uuid,                          -- who began its last request, as in fleet.workers
    lease_token uuid,                     -- null while it waits for its replay
    lease_expires_at timestamptz NOT NULL -- or, without a token, when the replay is due
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);  -- it is small, and its rows live for seconds

CREATE INDEX IF NOT EXISTS fleet_batches_lease ON fleet.batches (lease_expires_at);

-- One row per try at a vendor, written once, when the try is settled. Only what proof adds later is ever changed: how
-- an unknown outcome was resolved, when and by whom, and the vendor's id.
CREATE TABLE IF NOT EXISTS fleet.attempts (
    message_id uuid NOT NULL,
    number integer NOT NULL,              -- counts requests, from 1, without gaps
    counted boolean NOT NULL,             -- false where it does not use up the message's budget
    id uuid NOT NULL,                     -- derived from send key and message: what callbacks carry as ?attempt=
    send_key uuid NOT NULL,
    provider text NOT NULL,
    account text NOT NULL,
    account_tenant_id uuid NOT NULL,      -- whose credentials; the nil uuid for the environment's. Only its callbacks count
    address text,                         -- of the recipient, normalised, in lower case
    sender text,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('accepted', 'rejected', 'later', 'unknown', 'halted')),
    http_status integer,
    error_code text,
    provider_message_id text,
    worker text,
    resolution text,                      -- how an unknown outcome found its end: see outbox/unknowns.py
    resolved_at timestamptz,
    resolved_by text,
    PRIMARY KEY (message_id, number)
);

-- The account last: a callback without a mark of ours, and a look-up whatever the credentials were, have only the ids.
CREATE UNIQUE INDEX IF NOT EXISTS fleet_attempts_vendor_id
    ON fleet.attempts (provider, provider_message_id, account) WHERE provider_message_id IS NOT NULL;

-- Who writes or calls back is found by what was sent to them.
CREATE INDEX IF NOT EXISTS fleet_attempts_address ON fleet.attempts (address, finished_at) WHERE address IS NOT NULL;

-- The table only grows at its end, where a block range index costs next to nothing: what was tried lately.
CREATE INDEX IF NOT EXISTS fleet_attempts_finished ON fleet.attempts USING brin (finished_at) WITH (autosummarize = on);

-- Attempts of which nobody knows yet whether the vendor took the message, and that no replay will tell. A row goes when
-- its attempt has found its end.
CREATE TABLE IF NOT EXISTS fleet.unknowns (
    attempt_id uuid PRIMARY KEY,
    message_id uuid NOT NULL,
    send_key uuid NOT NULL,
    channel text NOT NULL,
    provider text NOT NULL,
    account text NOT NULL,
    account_tenant_id uuid NOT NULL,
    address text,
    sender text,
    started_at timestamptz NOT NULL,      -- between these two moments its request may have left
    ended_at timestamptz NOT NULL,
    waits_for text NOT NULL CHECK (waits_for IN ('look', 'person')),
    looks integer NOT NULL DEFAULT 0,     -- at the vendor's record, without a trace of it
    not_before timestamptz,               -- the next look was put off
    lease_token uuid,
    lease_expires_at timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE INDEX IF NOT EXISTS fleet_unknowns_address ON fleet.unknowns (address);
CREATE INDEX IF NOT EXISTS fleet_unknowns_message ON fleet.unknowns (message_id);

-- Vendor callbacks and late answers, raw, once each.
CREATE TABLE IF NOT EXISTS fleet.events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider text NOT NULL,
    tenant_id uuid NOT NULL,              -- whose account signed it; the nil uuid for the environment's
    event_id text NOT NULL,
    kind text NOT NULL,                   -- what happened: see config/vocabulary.py
    proves text CHECK (proves IN ('accepted', 'delivered', 'undelivered')),  -- of an attempt; null: it is of a person
    provider_message_id text,
    message_id uuid,                      -- as the callback names it, or found by the vendor's id, or by the address
    attempt_id uuid,
    channel text,
    address text,                         -- the other side, normalised, in lower case
    our_address text,                     -- our side, where the vendor names it
    code text,
    reason text,
    details jsonb,                        -- of a call or a reply: what was read out of the body
    body jsonb NOT NULL,                  -- what the vendor said, raw
    occurred_at timestamptz NOT NULL DEFAULT now(),  -- by the vendor's clock, where it says
    received_at timestamptz NOT NULL DEFAULT now(),
    workspace_id uuid,                    -- of its message, once it is applied; or the tenant that it came to
    campaign_id uuid,
    applied_at timestamptz,
    next_try_at timestamptz,              -- null while it is not applied: given up, for a person to see
    tries integer NOT NULL DEFAULT 0,
    UNIQUE (provider, tenant_id, event_id)
);

CREATE INDEX IF NOT EXISTS fleet_events_unapplied ON fleet.events (next_try_at) WHERE applied_at IS NULL;

-- What became of a message; and, of a campaign, how many of its messages were opened, clicked, bounced.
CREATE INDEX IF NOT EXISTS fleet_events_message ON fleet.events (message_id, kind);
CREATE INDEX IF NOT EXISTS fleet_events_campaign ON fleet.events (campaign_id, kind, message_id) WHERE campaign_id IS NOT NULL;

-- What was heard lately, as of attempts: at the table's end.
CREATE INDEX IF NOT EXISTS fleet_events_received ON fleet.events USING brin (received_at) WITH (autosummarize = on);

-- What is counted of one address: how often it did not take a message for the time being.
CREATE INDEX IF NOT EXISTS fleet_events_soft ON fleet.events (address, occurred_at) WHERE kind = 'soft_bounced';

-- What recipients said on the page behind an unsubscribe link.
CREATE INDEX IF NOT EXISTS fleet_events_ours ON fleet.events (address) WHERE provider = 'fleet';

-- A promise outlives its row: the same key inserted again after the row is gone sends nothing.
CREATE TABLE IF NOT EXISTS fleet.promises (
    key_hash bytea PRIMARY KEY,           -- sha256 of the idempotency key
    message_id uuid NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, UPDATE, DELETE ON fleet.batches, fleet.unknowns, fleet.events TO fleet;
GRANT SELECT, INSERT ON fleet.attempts, fleet.promises TO fleet;
GRANT UPDATE (resolution, resolved_at, resolved_by, provider_message_id) ON fleet.attempts TO fleet;

-- The id of one message's try under one send key: what a callback carries as ?attempt=. The workers compute the same.
CREATE OR REPLACE FUNCTION fleet.attempt_id(send_key uuid, message_id uuid) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT encode(substring(sha256(uuid_send(send_key) || uuid_send(message_id)) FROM 1 FOR 16), 'hex')::uuid
$$;

GRANT EXECUTE ON FUNCTION fleet.attempt_id(uuid, uuid) TO fleet;
