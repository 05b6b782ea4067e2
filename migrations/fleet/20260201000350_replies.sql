-- What people answered, and whose lead they are: what applied events leave for people to read.

-- One row for each answer, made from its event; it outlives the event.
CREATE TABLE IF NOT EXISTS fleet.replies (
    event_id bigint PRIMARY KEY,
    workspace_id uuid NOT NULL,           -- or the tenant, where a message has no workspace
    channel text,
    address text,                         -- who wrote, normalised
    message_id uuid,                      -- what it answers; null where it answers nothing of ours
    campaign_id uuid,
    lead_id uuid,
    text text,                            -- null where the vendor keeps it to itself
    received_at timestamptz NOT NULL      -- by the vendor's clock, where it says
);

CREATE INDEX IF NOT EXISTS fleet_replies_received ON fleet.replies (received_at, event_id);
CREATE INDEX IF NOT EXISTS fleet_replies_workspace ON fleet.replies (workspace_id, received_at, event_id);
CREATE INDEX IF NOT EXISTS fleet_replies_message ON fleet.replies (message_id) WHERE message_id IS NOT NULL;

-- All that was said of one call, whichever report said it.
CREATE INDEX IF NOT EXISTS fleet_events_call ON fleet.events (provider, (details #>> '{call,call_id}'))
WHERE details #>> '{call,call_id}' IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON fleet.replies TO fleet;

-- The lead that a message names as its recipient, else the first of the workspace with that address. Numbers are kept
-- in many spellings, with and without their country, so they are compared by their last ten digits.
CREATE OR REPLACE FUNCTION fleet.lead_of(workspace uuid, recipient uuid, address text) RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT coalesce(
        (SELECT l.id FROM public.leads l WHERE l.id = lead_of.recipient AND l.workspace_id = lead_of.workspace),
        CASE WHEN lead_of.address LIKE '%@%' THEN (
            SELECT (array_agg(l.id ORDER BY l.id))[1]
            FROM public.leads l
            WHERE l.workspace_id = lead_of.workspace AND lower(l.email) = lower(lead_of.address)
        ) WHEN length(regexp_replace(lead_of.address, '\D', '', 'g')) >= 7 THEN (
            SELECT (array_agg(l.id ORDER BY l.id))[1]
            FROM public.leads l
            WHERE l.workspace_id = lead_of.workspace
              AND right(regexp_replace(l.phone, '\D', '', 'g'), 10)
                = right(regexp_replace(lead_of.address, '\D', '', 'g'), 10)
        ) END
    )
$$;

GRANT EXECUTE ON FUNCTION fleet.lead_of(uuid, uuid, text) TO fleet;
