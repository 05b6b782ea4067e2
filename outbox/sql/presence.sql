-- Live processes: what works, on which queues, and whether a relay is awake.

-- name: announce
-- The row says whether a person wants the process to end.
INSERT INTO fleet.workers (id, host, pid, queues, slots, in_flight, version, started_at, seen_at)
VALUES (%(id)s, %(host)s, %(pid)s, %(queues)s, %(slots)s, %(in_flight)s, %(version)s, fleet.now(), fleet.now())
ON CONFLICT (id) DO UPDATE SET in_flight = excluded.in_flight, seen_at = excluded.seen_at
RETURNING retiring

-- name: present
SELECT w.id, w.host, w.pid, w.queues, w.in_flight, w.version, w.started_at, w.seen_at, w.retiring
FROM fleet.workers w
WHERE w.seen_at > fleet.now() - make_interval(secs => %(seconds)s)
ORDER BY w.host, w.pid

-- name: retire
-- No row: no such process is at work.
WITH retired AS (
    UPDATE fleet.workers w
    SET retiring = true
    WHERE w.id = %(id)s AND w.seen_at > fleet.now() - make_interval(secs => %(seconds)s)
    RETURNING w.id
),
noted AS (
    INSERT INTO fleet.audit_log (actor, action, subject) SELECT %(actor)s, 'retire', r.id::text FROM retired r
)
SELECT r.id FROM retired r

-- name: leave
DELETE FROM fleet.workers w WHERE w.id = %(id)s

-- name: serving
SELECT unnest(w.queues) AS queue, count(*)
FROM fleet.workers w
WHERE w.seen_at > fleet.now() - make_interval(secs => %(seconds)s)
GROUP BY queue

-- name: prune
-- Rows of processes that ended without saying so.
DELETE FROM fleet.workers w WHERE w.seen_at < fleet.now() - interval '1 hour'

-- name: relay_awake
INSERT INTO fleet.relays (id, awake_until)
VALUES (%(id)s, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (id) DO UPDATE SET awake_until = excluded.awake_until

-- name: relay_asleep
DELETE FROM fleet.relays r WHERE r.id = %(id)s OR r.awake_until < clock_timestamp()
