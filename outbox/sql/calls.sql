-- voice_call_records: one row a call, filled from everything that its applied events say. In two halves of one
-- transaction: the first waits for others that work on the same calls, so that the second sees what they have committed.

-- name: lock
-- First half: one at a time records a call. No row: none of these events is of a call.
SELECT pg_advisory_xact_lock(c.key)
FROM (
    SELECT DISTINCT hashtextextended(concat_ws(' ', e.provider, e.workspace_id, e.details #>> '{call,call_id}'), 0) AS key
    FROM fleet.events e
    WHERE e.id = ANY (%(ids)s::bigint[]) AND e.details #>> '{call,call_id}' IS NOT NULL AND e.workspace_id IS NOT NULL
    ORDER BY key
) AS c

-- name: record
-- Second half: what all applied reports of a call say together, so that their order does not matter. The longest
-- transcript and summary stand, the latest sentiment, and of the ends the one that says most: a call that was completed
-- was not missed. The row's id is made of vendor, workspace and call, so that nobody's call is another's; a row that the
-- platform has made for the same call is filled instead. A call's tenant is its message's, as for credentials.
WITH calls AS MATERIALIZED (
    SELECT DISTINCT e.provider, e.workspace_id, e.details #>> '{call,call_id}' AS call_id
    FROM fleet.events e
    WHERE e.id = ANY (%(ids)s::bigint[]) AND e.details #>> '{call,call_id}' IS NOT NULL AND e.workspace_id IS NOT NULL
),
told AS MATERIALIZED (
    SELECT c.provider, c.workspace_id, c.call_id,
        encode(
            substring(sha256(convert_to(concat_ws(' ', c.provider, c.workspace_id, c.call_id), 'UTF8')) FROM 1 FOR 16), 'hex'
        )::uuid AS id,
        min(e.occurred_at) AS began_at,
        (array_agg(e.message_id ORDER BY e.message_id) FILTER (WHERE e.message_id IS NOT NULL))[1] AS message_id,
        min(e.address) AS address,
        CASE WHEN bool_or(s.call ->> 'direction' = 'inbound') THEN 'inbound' ELSE 'outbound' END AS direction,
        max(round((s.call ->> 'duration_seconds')::numeric)) AS duration_seconds,
        (array_agg(s.transcript ORDER BY length(s.transcript) DESC, s.transcript) FILTER (WHERE s.transcript <> ''))[1] AS transcript,
        (array_agg(s.summary ORDER BY length(s.summary) DESC, s.summary) FILTER (WHERE s.summary <> ''))[1] AS summary,
        (array_agg(s.sentiment ORDER BY e.occurred_at DESC, s.sentiment) FILTER (WHERE s.sentiment <> ''))[1] AS sentiment,
        (array_agg(s.status ORDER BY array_position(%(ends)s::text[], s.status)))[1] AS status,
        min(s.call ->> 'number_id') AS number_id,
        min(coalesce(s.call ->> 'our_number', e.our_address)) AS our_number
    FROM calls c
    CROSS JOIN LATERAL (
        SELECT x.*
        FROM fleet.events x
        WHERE x.provider = c.provider AND x.details #>> '{call,call_id}' = c.call_id AND x.workspace_id = c.workspace_id
          AND x.applied_at IS NOT NULL
        OFFSET 0  -- call by call, by the index: the planner does not know how few reports a call has
    ) AS e
    CROSS JOIN LATERAL (
        SELECT e.details -> 'call' AS call, e.details #>> '{call,transcript}' AS transcript,
            e.details #>> '{call,summary}' AS summary, e.details #>> '{call,sentiment}' AS sentiment,
            coalesce(
                e.details #>> '{call,status}',
                CASE e.kind WHEN 'call_ended' THEN 'completed' WHEN 'call_failed' THEN 'failed' WHEN 'no_answer' THEN 'no_answer' END
            ) AS status
    ) AS s
    GROUP BY c.provider, c.workspace_id, c.call_id
),
placed AS MATERIALIZED (
    SELECT t.*, tenant.id AS tenant_id, number.id AS phone_number_id, known.id AS known_id,
        fleet.lead_of(t.workspace_id, o.recipient_id, t.address) AS lead_id,
        CASE t.provider WHEN 'vapi' THEN t.call_id END AS vapi_call_id
    FROM told t
    LEFT JOIN public.channel_outbox o ON o.id = t.message_id
    CROSS JOIN LATERAL (SELECT coalesce(o.tenant_id, t.workspace_id) AS id) AS tenant
    LEFT JOIN LATERAL (
        SELECT n.id
        FROM public.voice_phone_numbers n
        WHERE n.tenant_id = tenant.id AND (n.provider_id = t.number_id OR n.phone_number = t.our_number)
        ORDER BY (n.provider_id = t.number_id) DESC NULLS LAST, n.id
        LIMIT 1
    ) AS number ON true
    LEFT JOIN LATERAL (
        SELECT v.id
        FROM public.voice_call_records v
        WHERE v.id = t.id OR (t.provider = 'vapi' AND v.vapi_call_id = t.call_id AND v.tenant_id = tenant.id)
        ORDER BY v.id = t.id DESC, v.id
        LIMIT 1
    ) AS known ON true
),
merged AS MATERIALIZED (
    SELECT v.id,
        coalesce(v.phone_number_id, p.phone_number_id) AS phone_number_id,
        coalesce(v.lead_id, p.lead_id) AS lead_id,
        p.direction,
        greatest(v.duration_seconds, p.duration_seconds) AS duration_seconds,
        CASE WHEN length(p.transcript) >= length(coalesce(v.transcript, '')) THEN p.transcript ELSE v.transcript END AS transcript,
        CASE WHEN length(p.summary) >= length(coalesce(v.summary, '')) THEN p.summary ELSE v.summary END AS summary,
        CASE WHEN v.id = p.id THEN coalesce(p.sentiment, v.sentiment) ELSE coalesce(v.sentiment, p.sentiment) END AS sentiment,
        (
            SELECT one FROM unnest(ARRAY[v.status::text, p.status]) AS one
            ORDER BY array_position(%(ends)s::text[], one), one
            LIMIT 1
        ) AS status,
        CASE WHEN v.id = p.id THEN least(v.created_at, p.began_at) ELSE v.created_at END AS created_at
    FROM placed p
    JOIN public.voice_call_records v ON v.id = p.known_id
    ORDER BY v.id
    FOR UPDATE OF v
),
filled AS (
    UPDATE public.voice_call_records v
    SET phone_number_id = m.phone_number_id,
        lead_id = m.lead_id,
        direction = m.direction,
        duration_seconds = m.duration_seconds,
        transcript = m.transcript,
        summary = m.summary,
        sentiment = m.sentiment,
        status = m.status,
        created_at = m.created_at
    FROM merged m
    WHERE v.id = m.id
      AND (v.phone_number_id, v.lead_id, v.direction::text, v.duration_seconds, v.transcript, v.summary, v.sentiment,
           v.status::text, v.created_at)
          IS DISTINCT FROM
          (m.phone_number_id, m.lead_id, m.direction, m.duration_seconds, m.transcript, m.summary, m.sentiment,
           m.status, m.created_at)
)
INSERT INTO public.voice_call_records (
    id, tenant_id, phone_number_id, vapi_call_id, lead_id, direction, duration_seconds, transcript, summary, sentiment,
    status, created_at
)
SELECT p.id, p.tenant_id, p.phone_number_id, p.vapi_call_id, p.lead_id, p.direction, p.duration_seconds, p.transcript,
    p.summary, p.sentiment, p.status, p.began_at
FROM placed p
WHERE p.known_id IS NULL
ORDER BY p.id
