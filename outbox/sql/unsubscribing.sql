-- What a recipient said last on the page behind their unsubscribe links.

-- name: take_turns
-- One word of a recipient after the other, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'unsubscribe', %(workspace_id)s::uuid, %(channel)s::text, lower(%(address)s::text)), 0))

-- name: last_words
-- Always one row. What is stored counts although it is not applied yet; and so does what others said: a vendor that has
-- it by its own link, a person who released it. The two moments at which a next word would count are later than the last
-- word against it, whatever the clock says by which that one was told.
WITH said AS (
    SELECT max(e.occurred_at) FILTER (WHERE e.kind = 'unsubscribed') AS out_at,
        max(e.occurred_at) FILTER (WHERE e.kind = 'resubscribed') AS back_at
    FROM fleet.events e
    WHERE e.provider = 'fleet' AND e.address = lower(%(address)s) AND e.channel = %(channel)s AND e.workspace_id = %(workspace_id)s
),
both_ways AS (
    SELECT greatest(said.out_at, nullif(s.created_at, '-infinity')) AS out_at, greatest(said.back_at, s.released_at) AS back_at
    FROM said
    LEFT JOIN fleet.suppressions s
        ON s.workspace_id = %(workspace_id)s AND s.channel = %(channel)s AND s.address = lower(%(address)s) AND s.reason = 'unsubscribed'
)
SELECT coalesce(b.out_at >= coalesce(b.back_at, '-infinity'), false),
    greatest(fleet.now(), b.back_at), greatest(fleet.now(), b.out_at + interval '1 microsecond'),
    coalesce(extract(epoch FROM b.out_at) * 1000000, 0)::bigint, coalesce(extract(epoch FROM b.back_at) * 1000000, 0)::bigint
FROM both_ways b
