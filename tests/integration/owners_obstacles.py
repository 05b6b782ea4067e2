"""What single owners do differently from the description, and a migration must not take: it names it and stops.

Most have a statement that resolves them; for the `UNSERVED` there is none.
"""

from typing import NamedTuple


class Obstacle(NamedTuple):
    """How it comes about, and the subject under which it must be named."""

    statements: str
    subject: str


OBSTACLES = {
    "json payload": Obstacle("ALTER TABLE channel_outbox ALTER payload TYPE json", "channel_outbox.payload"),
    "no time zone": Obstacle(
        "ALTER TABLE channel_outbox ALTER scheduled_at TYPE timestamp USING scheduled_at AT TIME ZONE 'UTC'",
        "channel_outbox.scheduled_at",
    ),
    "integer ids": Obstacle(
        "ALTER TABLE job_queue DROP id, ADD id bigserial PRIMARY KEY",
        "job_queue.id",
    ),
    "identity ids": Obstacle(
        "ALTER TABLE job_queue DROP id, ADD id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "job_queue.id",
    ),
    "no id": Obstacle("ALTER TABLE job_queue DROP id", "job_queue.id"),
    "id without key": Obstacle("ALTER TABLE channel_outbox DROP CONSTRAINT channel_outbox_pkey", "channel_outbox.id"),
    "id that may be empty": Obstacle(
        "ALTER TABLE job_queue DROP CONSTRAINT job_queue_pkey, ALTER id DROP NOT NULL, ADD UNIQUE (id)", "job_queue.id"
    ),
    "text keys": Obstacle("ALTER TABLE channel_outbox ALTER recipient_id TYPE text", "channel_outbox.recipient_id"),
    "figures in words": Obstacle("ALTER TABLE deals ALTER value TYPE text", "deals.value"),
    "short status": Obstacle("ALTER TABLE channel_outbox ALTER status TYPE varchar(9)", "channel_outbox.status"),
    "padded status": Obstacle("ALTER TABLE channel_outbox ALTER status TYPE char(12)", "channel_outbox.status"),
    "narrow domain": Obstacle(
        "CREATE DOMAIN outbox_status AS text CHECK (VALUE IN ('scheduled','sent','delivered','failed'));"
        "ALTER TABLE channel_outbox ALTER status TYPE outbox_status",
        "channel_outbox.status",
    ),
    "short error": Obstacle("ALTER TABLE channel_outbox ADD error_message varchar(80)", "channel_outbox.error_message"),
    "priority in words": Obstacle(
        "ALTER TABLE channel_outbox ADD priority text DEFAULT 'medium'", "channel_outbox.priority"
    ),
    "attempts in json": Obstacle(
        "ALTER TABLE channel_outbox ADD attempts jsonb DEFAULT '[]'", "channel_outbox.attempts"
    ),
    "attempts that may be empty": Obstacle(
        "ALTER TABLE channel_outbox ADD attempts integer", "channel_outbox.attempts"
    ),
    "computed priority": Obstacle(
        "ALTER TABLE channel_outbox ADD priority integer GENERATED ALWAYS AS (length(channel)) STORED",
        "channel_outbox.priority",
    ),
    "duplicate keys": Obstacle(
        "ALTER TABLE channel_outbox DROP CONSTRAINT channel_outbox_idempotency_key_key;"
        "UPDATE channel_outbox SET idempotency_key = 'promise-1' WHERE idempotency_key IN ('promise-3', 'promise-8')",
        "channel_outbox.idempotency_key",
    ),
    "duplicate jobs": Obstacle("ALTER TABLE job_queue ADD unique_key text DEFAULT 'same'", "job_queue.unique_key"),
    "another sender's words": Obstacle(
        "UPDATE channel_outbox SET status = 'queued' WHERE status = 'failed'", "channel_outbox.status"
    ),
    "messages without time": Obstacle(
        "UPDATE channel_outbox SET scheduled_at = NULL, created_at = NULL WHERE status = 'scheduled'",
        "channel_outbox.scheduled_at",
    ),
    "messages from before times": Obstacle(
        "ALTER TABLE channel_outbox DROP scheduled_at, DROP created_at", "channel_outbox.scheduled_at"
    ),
    "restrictive policy": Obstacle(
        "CREATE POLICY only_mine ON channel_outbox AS RESTRICTIVE USING (user_has_workspace_access(workspace_id))",
        "channel_outbox: only_mine",
    ),
    "schema name taken": Obstacle("CREATE SCHEMA fleet; CREATE TABLE fleet.cars (id int)", "schema fleet"),
}

UNSERVED = {
    "partitioned": Obstacle(
        "ALTER TABLE channel_outbox RENAME TO old; CREATE TABLE channel_outbox (id uuid, status text, created_at date)"
        " PARTITION BY RANGE (created_at)",
        "channel_outbox",
    ),
    "view": Obstacle(
        "ALTER TABLE channel_outbox RENAME TO outbox; CREATE VIEW channel_outbox AS SELECT * FROM outbox",
        "channel_outbox",
    ),
    "materialized view": Obstacle(
        "ALTER TABLE industry_verticals RENAME TO old; CREATE MATERIALIZED VIEW industry_verticals AS SELECT 1 AS id",
        "industry_verticals",
    ),
    "children": Obstacle("CREATE TABLE child () INHERITS (channel_outbox)", "channel_outbox"),
    "type": Obstacle("DROP TABLE kernel_actions; CREATE TYPE kernel_actions AS (id int)", "kernel_actions"),
}
