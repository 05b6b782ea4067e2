-- Live processes: what works, on which queues, and whether a relay is awake.

-- name: announce
INSERT INTO fleet.workers (id, host, pid, queues, slots, in_flight, version, started_at, seen_at)
VALUES (%(id)s, %(host)s, %(pid)s, %(queues)s, %(slots)s, %(in_flight)s, %(version)s, fleet.now(), fleet.now())
ON CONFLICT (id) DO UPDATE SET in_flight = excluded.in_flight, seen_at = excluded.seen_at

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
