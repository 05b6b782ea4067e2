-- The platform's job_queue. In Redis and at work are both `running`; the lease tells whose it is.

-- name: claim
-- pending -> running, by the job relay, of the types that this fleet knows: those of others are others' to run. No row:
-- nothing is due.
WITH due AS MATERIALIZED (
    SELECT j.id
    FROM public.job_queue j
    WHERE j.status = 'pending'
      AND j.job_type::text = ANY (%(types)s::text[])
      AND coalesce(j.scheduled_at, j.created_at) <= fleet.now()
    ORDER BY coalesce(j.priority, 0) DESC, coalesce(j.scheduled_at, j.created_at)
    LIMIT %(limit)s
    FOR UPDATE OF j SKIP LOCKED
)
UPDATE public.job_queue j
SET status = CASE WHEN j.expires_at <= fleet.now() THEN 'failed' ELSE 'running' END,
    error_message = CASE WHEN j.expires_at <= fleet.now() THEN 'expires_at passed before it could run' ELSE j.error_message END,
    completed_at = CASE WHEN j.expires_at <= fleet.now() THEN fleet.now() END,
    lease_token = CASE WHEN j.expires_at <= fleet.now() THEN NULL ELSE %(token)s::uuid END,
    lease_expires_at = CASE WHEN j.expires_at <= fleet.now() THEN NULL ELSE fleet.now() + make_interval(secs => %(lease_seconds)s) END,
    updated_at = fleet.now()
WHERE j.id = ANY (ARRAY(SELECT due.id FROM due)) AND j.status = 'pending'
RETURNING j.id::text, j.lease_token IS NOT NULL

-- name: release
-- running -> pending, by the relay that claimed them, when Redis did not take them.
UPDATE public.job_queue j
SET status = 'pending', lease_token = NULL, lease_expires_at = NULL, updated_at = fleet.now()
WHERE j.id = ANY (%(ids)s::uuid[]) AND j.status = 'running' AND j.lease_token = %(token)s
RETURNING j.id

-- name: begin
-- The worker takes a claimed job over under a lease of its own. No row: the claim ran out or the job was cancelled.
UPDATE public.job_queue j
SET lease_token = %(lease)s,
    lease_expires_at = fleet.now() + make_interval(secs => %(lease_seconds)s),
    started_at = fleet.now(),
    updated_at = fleet.now()
WHERE j.id = %(id)s AND j.status = 'running' AND j.lease_token = %(token)s AND j.lease_expires_at > fleet.now()
RETURNING j.id, j.job_type, j.payload, j.workspace_id, j.created_at, j.progress, coalesce(j.retry_count, 0)

-- name: report
-- A job at work renews its lease and says how far it is. No row: it is another's by now; the worker stops.
UPDATE public.job_queue j
SET lease_expires_at = fleet.now() + make_interval(secs => %(lease_seconds)s),
    progress = coalesce(%(progress)s::jsonb, j.progress),
    updated_at = fleet.now()
WHERE j.id = %(id)s AND j.status = 'running' AND j.lease_token = %(lease)s
RETURNING j.id

-- name: complete
-- running -> completed. No row: the lease was lost; whoever has it decides.
UPDATE public.job_queue j
SET status = 'completed', completed_at = fleet.now(), progress = coalesce(%(progress)s::jsonb, j.progress),
    error_message = NULL, lease_token = NULL, lease_expires_at = NULL, updated_at = fleet.now()
WHERE j.id = %(id)s AND j.status = 'running' AND j.lease_token = %(lease)s
RETURNING j.id

-- name: fail
-- running -> pending for another try, or failed after the last or where a try cannot help. No row: the lease was lost.
UPDATE public.job_queue j
SET status = CASE WHEN %(final)s OR coalesce(j.retry_count, 0) + 1 >= j.max_attempts THEN 'failed' ELSE 'pending' END,
    retry_count = coalesce(j.retry_count, 0) + 1,
    error_message = %(error_message)s,
    scheduled_at = fleet.now() + make_interval(secs => %(delay_seconds)s),
    completed_at = CASE WHEN %(final)s OR coalesce(j.retry_count, 0) + 1 >= j.max_attempts THEN fleet.now() END,
    lease_token = NULL, lease_expires_at = NULL, updated_at = fleet.now()
WHERE j.id = %(id)s AND j.status = 'running' AND j.lease_token = %(lease)s
RETURNING j.status::text

-- name: rescue
-- running -> pending or failed: the lease ran out, its worker died. Jobs that run without a lease are another runner's.
WITH expired AS MATERIALIZED (
    SELECT j.id
    FROM public.job_queue j
    WHERE j.status = 'running' AND j.lease_token IS NOT NULL AND j.lease_expires_at < fleet.now()
    ORDER BY j.id
    LIMIT %(limit)s
    FOR UPDATE OF j SKIP LOCKED
)
UPDATE public.job_queue j
SET status = CASE WHEN coalesce(j.retry_count, 0) + 1 >= j.max_attempts THEN 'failed' ELSE 'pending' END,
    retry_count = coalesce(j.retry_count, 0) + 1,
    error_message = 'its worker died',
    completed_at = CASE WHEN coalesce(j.retry_count, 0) + 1 >= j.max_attempts THEN fleet.now() END,
    lease_token = NULL, lease_expires_at = NULL, updated_at = fleet.now()
WHERE j.id = ANY (ARRAY(SELECT expired.id FROM expired)) AND j.status = 'running'
RETURNING j.id
