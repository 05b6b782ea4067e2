"""The indexes without which the fleet cannot keep its promise or its pace, where the owner's table lacks them."""

from outbox.migrate import files
from outbox.migrate.columns import Columns
from outbox.migrate.expected import QUEUES
from outbox.migrate.finding import Database, Finding
from outbox.queries import load

_SQL = load("inspect")
_DUPLICATES_SHOWN = 100
_BUILD_KEY = (
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS fleet_outbox_idempotency_key "
    "ON public.channel_outbox (idempotency_key)"
)
_BUILD_STATUS = (
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS fleet_outbox_status ON public.channel_outbox (status, scheduled_at)"
)
# Of the rows that share a key the one that went out keeps it, else the oldest; the others then send nothing.
_ONE_PROMISE = """
UPDATE public.channel_outbox SET
    idempotency_key = NULL,
    status = CASE WHEN status = 'scheduled' THEN 'failed' ELSE status END
WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (
            PARTITION BY idempotency_key ORDER BY status IS NOT DISTINCT FROM 'scheduled', created_at, id
        ) AS place
        FROM public.channel_outbox
        WHERE idempotency_key IS NOT NULL
    ) AS ranked
    WHERE place > 1
)""".strip()
_ONE_JOB = """
UPDATE public.job_queue SET unique_key = NULL
WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY unique_key ORDER BY created_at, id) AS place
        FROM public.job_queue
        WHERE unique_key IS NOT NULL AND status IN ('pending', 'running')
    ) AS ranked
    WHERE place > 1
)""".strip()


def find(database: Database, columns: Columns) -> list[Finding]:
    """Return the indexes that are missing or unfinished, and what keeps them from being built."""
    return [
        *_ids(database, columns),
        *_promises(database, columns),
        *_jobs(database, columns),
        *_status(database, columns),
        *_unfinished(database),
    ]


def _ids(database: Database, columns: Columns) -> list[Finding]:
    problem = "is not unique: a row could not be told from another"
    return [
        Finding("blocks", f"{table}.id", problem, "make it so", (_unique_id(table),))
        for table in QUEUES
        if (table, "id") in columns and "id" not in _unique(database, table)
    ]


def _unique_id(table: str) -> str:
    return f"ALTER TABLE public.{table} ADD CONSTRAINT {table}_id_unique UNIQUE (id)"


def _unique(database: Database, table: str) -> set[str]:
    return {name for (name,) in database.execute(_SQL["unique_columns"], {"table": table}).fetchall()}


def _promises(database: Database, columns: Columns) -> list[Finding]:
    subject = "channel_outbox.idempotency_key"
    if ("channel_outbox", "idempotency_key") not in columns or "idempotency_key" in _unique(database, "channel_outbox"):
        return []
    if twice := _twice(database, "duplicate_messages"):
        problem = f"has no unique index, and {twice}"
        return [Finding("blocks", subject, problem, "decide which row of each keeps it", (_ONE_PROMISE,))]
    return [Finding("resolved", subject, "has no unique index", "migrate builds one", (_BUILD_KEY,))]


def _jobs(database: Database, columns: Columns) -> list[Finding]:
    """The owner's own column of our name; ours is made with its index."""
    if ("job_queue", "unique_key") not in columns or ("job_queue", "status") not in columns:
        return []
    twice = _twice(database, "duplicate_jobs")
    return [Finding("blocks", "job_queue.unique_key", twice, "decide which job keeps it", (_ONE_JOB,))] if twice else []


def _twice(database: Database, statement: str) -> str:
    keys = [key for (key,) in database.execute(_SQL[statement], {"limit": _DUPLICATES_SHOWN}).fetchall()]
    count = f"{len(keys)}{' or more' if len(keys) == _DUPLICATES_SHOWN else ''}"
    return f"{count} of its values stand twice, such as {', '.join(map(repr, keys[:3]))}" if keys else ""


def _status(database: Database, columns: Columns) -> list[Finding]:
    if ("channel_outbox", "status") not in columns or ("channel_outbox", "scheduled_at") not in columns:
        return []
    row = database.execute(_SQL["status_index"]).fetchone()
    if row and row[0]:
        return []
    problem = "indexes something else than the status, and nothing else does"
    return [
        Finding(
            "resolved", "idx_channel_outbox_status", problem, "migrate builds fleet_outbox_status", (_BUILD_STATUS,)
        )
    ]


def _unfinished(database: Database) -> list[Finding]:
    """A build that was killed leaves an index that costs every write and serves no read."""
    statements = [statement for migration in files.load() for statement in migration.statements]
    builds = {name: statement for statement in statements if (name := files.index_built_by(statement))}
    invalid = database.execute(_SQL["invalid_indexes"], {"names": list(builds)}).fetchall()
    return [
        Finding("resolved", name, "is an index whose build was broken off", "migrate builds it again", (builds[name],))
        for (name,) in invalid
    ]
