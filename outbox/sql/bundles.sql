-- Bundles that workers prepare: noted before, forgotten after. What stays is counted by claims.sql, rescue.

-- name: take
INSERT INTO fleet.bundles (id, token, message_ids, worker, taken_at)
VALUES (%(id)s, %(token)s, %(message_ids)s::uuid[], %(worker)s, fleet.now())

-- name: broke
UPDATE fleet.bundles b SET broke = true WHERE b.id = %(id)s

-- name: put_down
DELETE FROM fleet.bundles b WHERE b.id = %(id)s

-- name: prune
-- No claim lasts longer than an hour, so nothing is queued any more under the tokens of these.
DELETE FROM fleet.bundles b WHERE b.taken_at < fleet.now() - interval '2 hours'
