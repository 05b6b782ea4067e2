-- What people and processes say about sending: who may, who must not, what waits, and who is at work.

CREATE TABLE IF NOT EXISTS fleet.accounts (
    tenant_id uuid NOT NULL,              -- the nil uuid is the environment's account
    provider text NOT NULL,
    webhook_secret text,                  -- sealed
    options jsonb NOT NULL DEFAULT '{}',
    halted_at timestamptz,
    halted_until timestamptz,             -- then one message may try whether it works again
    halted_code text,
    halted_reason text,
    halted_fingerprint text,              -- new credentials are not halted by what the old ones did
    PRIMARY KEY (tenant_id, provider)
);

CREATE TABLE IF NOT EXISTS fleet.pauses (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    scope_key text NOT NULL,              -- see fleet.scope_keys
    kind text NOT NULL DEFAULT 'pause' CHECK (kind IN ('pause', 'hold', 'adoption', 'cancel')),
    due_before timestamptz,               -- holds only what was due before; null holds all of the scope
    reason text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    until timestamptz                     -- null: until a person resumes
);

CREATE INDEX IF NOT EXISTS fleet_pauses_scope ON fleet.pauses (scope_key);
-- Workers read several times a second what stands, among all that ever did.
CREATE INDEX IF NOT EXISTS fleet_pauses_standing ON fleet.pauses (coalesce(until, 'infinity'::timestamptz));

-- Who must not be contacted: a row for each reason, because one may end while another stands.
CREATE TABLE IF NOT EXISTS fleet.suppressions (
    workspace_id uuid NOT NULL,           -- or the tenant, where a message has no workspace
    channel text NOT NULL,
    address text NOT NULL CHECK (address = lower(address)),  -- normalised as the workers do, and in lower case
    reason text NOT NULL,                 -- see config/vocabulary.py
    source text NOT NULL,                 -- the vendor's event, or who said so
    created_at timestamptz NOT NULL DEFAULT now(),  -- when it last happened, by the vendor's clock
    expires_at timestamptz,               -- then it ends by itself
    released_at timestamptz,              -- when it was last taken back: it stands unless that is later than created_at
    PRIMARY KEY (workspace_id, channel, address, reason)
);

CREATE INDEX IF NOT EXISTS fleet_suppressions_address ON fleet.suppressions (address);

CREATE TABLE IF NOT EXISTS fleet.templates (
    sha256 bytea PRIMARY KEY,
    body jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS fleet.limits (
    scope_key text PRIMARY KEY,
    rate_per_second double precision,
    burst integer,
    daily integer,
    concurrent integer,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS fleet.lanes (
    channel text NOT NULL,
    workspace_id uuid NOT NULL,
    band smallint NOT NULL,
    vtime double precision NOT NULL DEFAULT 0,
    weight double precision NOT NULL DEFAULT 1,
    next_due_at timestamptz NOT NULL,
    low_water timestamptz NOT NULL DEFAULT '-infinity',
    ready boolean NOT NULL DEFAULT false,
    blocked_until timestamptz,
    PRIMARY KEY (channel, workspace_id, band)
);

CREATE TABLE IF NOT EXISTS fleet.lane_hints (
    channel text NOT NULL,
    workspace_id uuid NOT NULL,
    band smallint NOT NULL,
    due_at timestamptz NOT NULL
);

-- It has no key: where the owner publishes all tables, nothing could be deleted from it otherwise.
ALTER TABLE fleet.lane_hints REPLICA IDENTITY FULL;

-- Campaigns of which something has changed that is counted: written with the change, in its transaction, and never
-- updated, so that no two changes wait for each other.
CREATE TABLE IF NOT EXISTS fleet.campaign_hints (
    campaign_id uuid NOT NULL,
    at timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);  -- a row lives for a second

ALTER TABLE fleet.campaign_hints REPLICA IDENTITY FULL;  -- as fleet.lane_hints

-- When each campaign is counted: hints are folded into `changes`, and a campaign is due while fewer are counted.
CREATE TABLE IF NOT EXISTS fleet.campaign_rollups (
    campaign_id uuid PRIMARY KEY,
    changes bigint NOT NULL DEFAULT 1,
    counted bigint NOT NULL DEFAULT 0,    -- of the changes, so many are in the figures
    next_at timestamptz NOT NULL DEFAULT '-infinity'  -- not counted before: a count is followed by a rest as dear as it was
);

CREATE INDEX IF NOT EXISTS fleet_rollups_due ON fleet.campaign_rollups (next_at) WHERE changes > counted;

-- Live sending processes. A row that was not renewed belongs to a dead one.
CREATE TABLE IF NOT EXISTS fleet.workers (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    queues text[] NOT NULL,
    slots integer NOT NULL,
    in_flight integer NOT NULL DEFAULT 0,
    retiring boolean NOT NULL DEFAULT false,  -- a person wants it to drain and end
    version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);

-- Bundles that a worker renders at this moment, one row each. A row that stays tells that its worker died of it, or
-- with it. Unlogged: it costs no flush, and a database that crashed has forgotten whom to suspect, which harms nobody.
CREATE UNLOGGED TABLE IF NOT EXISTS fleet.bundles (
    id uuid PRIMARY KEY,
    token uuid NOT NULL,                  -- of the claim that its messages are queued under
    message_ids uuid[] NOT NULL,
    worker uuid NOT NULL,                 -- as in fleet.workers
    taken_at timestamptz NOT NULL,
    broke boolean NOT NULL DEFAULT false  -- preparing it ended in an error of ours, and the worker lives on
);

-- An awake relay polls by itself; only while none is awake does an insert notify. Losing this table loses nothing.
CREATE UNLOGGED TABLE IF NOT EXISTS fleet.relays (
    id uuid PRIMARY KEY,
    awake_until timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS fleet.api_keys (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL,
    name text NOT NULL,
    key_hash bytea NOT NULL UNIQUE,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);

CREATE TABLE IF NOT EXISTS fleet.audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    workspace_id uuid,
    subject text,
    detail jsonb
);

-- Messages that two requests were accepted for: there should be none, so counting them costs nothing.
CREATE INDEX IF NOT EXISTS fleet_audit_duplicates ON fleet.audit_log (id) WHERE action = 'duplicate';

GRANT SELECT, INSERT, UPDATE, DELETE ON
    fleet.accounts, fleet.pauses, fleet.suppressions, fleet.templates, fleet.limits, fleet.lanes, fleet.lane_hints,
    fleet.campaign_hints, fleet.campaign_rollups,
    fleet.workers, fleet.bundles, fleet.relays, fleet.api_keys
TO fleet;
GRANT SELECT, INSERT ON fleet.audit_log TO fleet;

-- The scopes that a message belongs to, as pauses name them; outbox/scopes.py says the same for workers. A workspace's
-- messages through one provider are those of its account there.
CREATE OR REPLACE FUNCTION fleet.scope_keys(channel text, provider text, workspace uuid, campaign uuid) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT ARRAY[
        'everything', 'channel:' || channel, 'provider:' || provider, 'workspace:' || workspace::text,
        'campaign:' || campaign::text, 'workspace:' || workspace::text || ' campaign:' || campaign::text,
        'workspace:' || workspace::text || ' channel:' || channel, 'workspace:' || workspace::text || ' provider:' || provider
    ]
$$;

GRANT EXECUTE ON FUNCTION fleet.scope_keys(text, text, uuid, uuid) TO fleet;
