-- What a database looks like, for `fleet db plan`. Everything here only reads, and catalogs rather than rows.

-- name: relations
-- What bears the name of one of the platform's tables.
SELECT c.relname::text, c.relkind::text, c.relowner::regrole::text, pg_has_role(c.relowner, 'USAGE'),
    row_security_active(c.oid), c.relrowsecurity, EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid)
FROM pg_class c
WHERE c.relnamespace = to_regnamespace('public') AND c.relname = ANY (%(tables)s)
ORDER BY c.relname

-- name: columns
-- Of the tables that whoever asks may read. A domain counts as what it is made of. The last: what keeps the type from
-- being changed.
SELECT c.relname::text, a.attname::text, format_type(base.oid, NULL),
    CASE WHEN base.oid = 'varchar'::regtype THEN nullif(greatest(a.atttypmod, t.typtypmod), -1) - 4 END,
    CASE WHEN base.typtype = 'e' THEN base.oid::regtype::text END,
    pg_has_role(base.typowner, 'USAGE'),
    ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = base.oid),
    CASE WHEN t.typtype = 'd' THEN t.oid::regtype::text END,
    a.attnotnull, a.atthasdef OR a.attidentity <> '', a.attgenerated <> '',
    ARRAY(
        SELECT DISTINCT pg_describe_object(d.classid, d.objid, 0)
        FROM pg_depend d
        LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid AND k.contype = 'f'
        WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = a.attnum
          AND (k.oid IS NOT NULL OR d.classid IN (
              'pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_trigger'::regclass, 'pg_proc'::regclass))
    )
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_type base ON base.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
WHERE c.relnamespace = to_regnamespace('public') AND c.relkind = 'r' AND c.relname = ANY (%(tables)s)
  AND has_table_privilege(c.oid, 'SELECT')
ORDER BY c.relname, a.attnum

-- name: castable_enums
SELECT c.casttarget::regtype::text
FROM pg_cast c
WHERE c.castsource = 'text'::regtype AND c.castcontext IN ('a', 'i')

-- name: checks
-- The CHECKs that look at a column, with every column that they look at and what those are made of. PostgreSQL 18 has
-- some that it does not enforce.
SELECT quote_ident(k.conname), pg_get_expr(k.conbin, k.conrelid), k.convalidated,
    array_agg(quote_ident(seen.attname) ORDER BY seen.attnum),
    array_agg(format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL) ORDER BY seen.attnum)
FROM pg_constraint k
JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attname = %(column)s AND a.attnum = ANY (k.conkey)
JOIN pg_attribute seen ON seen.attrelid = k.conrelid AND seen.attnum = ANY (k.conkey)
JOIN pg_type t ON t.oid = seen.atttypid
WHERE k.conrelid = to_regclass('public.' || %(table)s) AND k.contype = 'c'
  AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
GROUP BY k.oid, k.conname, k.conbin, k.conrelid, k.convalidated
ORDER BY k.conname

-- name: unique_columns
-- Columns that a valid unique index covers alone and for every row.
SELECT a.attname::text
FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = to_regclass('public.' || %(table)s)
  AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL

-- name: status_index
-- Is the platform's index of messages by status what its name says, or still to be made?
SELECT to_regclass('public.idx_channel_outbox_status') IS NULL OR EXISTS (
    SELECT
    FROM pg_index i
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] AND a.attname = 'status'
    WHERE i.indrelid = to_regclass('public.channel_outbox') AND i.indisvalid AND i.indpred IS NULL
)

-- name: duplicate_messages
SELECT o.idempotency_key::text
FROM public.channel_outbox o
WHERE o.idempotency_key IS NOT NULL
GROUP BY o.idempotency_key
HAVING count(*) > 1
LIMIT %(limit)s

-- name: duplicate_jobs
SELECT j.unique_key::text
FROM public.job_queue j
WHERE j.unique_key IS NOT NULL AND j.status::text IN ('pending', 'running')
GROUP BY j.unique_key
HAVING count(*) > 1
LIMIT %(limit)s

-- name: under_way
-- Statuses that mean something else to another sender than to the fleet.
SELECT o.status::text, count(*)
FROM public.channel_outbox o
WHERE o.status::text IN ('queued', 'sending')
GROUP BY o.status
ORDER BY o.status

-- name: triggers
SELECT c.relname::text, t.tgname::text, p.prosecdef
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_proc p ON p.oid = t.tgfoid
WHERE t.tgrelid IN (to_regclass('public.channel_outbox'), to_regclass('public.job_queue'))
  AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgname NOT LIKE 'fleet\_%%'
ORDER BY c.relname, t.tgname

-- name: published
SELECT p.tablename::text, p.pubname::text
FROM pg_publication_tables p
WHERE p.schemaname = 'public' AND p.tablename IN ('channel_outbox', 'job_queue')
UNION ALL
SELECT c.relname::text, NULL
FROM pg_class c
WHERE c.oid IN (to_regclass('public.channel_outbox'), to_regclass('public.job_queue')) AND c.relreplident = 'f'

-- name: restrictive_policies
-- Policies of others that bind the fleet as well, whatever its own policy admits.
SELECT c.relname::text, quote_ident(p.polname)
FROM pg_policy p
JOIN pg_class c ON c.oid = p.polrelid
WHERE c.relnamespace = to_regnamespace('public') AND c.relname = ANY (%(tables)s)
  AND NOT p.polpermissive AND p.polroles && ARRAY[0, to_regrole('fleet')]::oid[]

-- name: rights
-- What keeps whoever is connected from migrating: what it is about, the problem, what to do, and that in SQL.
WITH me AS (
    SELECT r.*, current_setting('server_version_num')::integer AS version, quote_ident(r.rolname) AS name,
        has_database_privilege(current_database(), 'CREATE') AS creates_schemas
    FROM pg_roles r
    WHERE r.rolname = current_user
),
roles AS (
    SELECT wanted.name, to_regrole(wanted.name) AS role
    FROM unnest(ARRAY['anon', 'authenticated', 'service_role', 'fleet']) AS wanted (name)
),
schemas AS (
    SELECT wanted.name, to_regnamespace(wanted.name) AS schema,
        CASE WHEN wanted.name <> 'auth' OR NOT EXISTS (
            SELECT
            FROM pg_class c
            JOIN pg_proc p ON p.pronamespace = c.relnamespace AND p.proname = 'uid'
            WHERE c.relnamespace = to_regnamespace('auth') AND c.relname = 'users'
        ) THEN 'CREATE' ELSE 'USAGE' END AS needed
    FROM unnest(ARRAY['public', 'fleet', 'auth']) AS wanted (name)
)
SELECT 'server', 'is PostgreSQL ' || current_setting('server_version') || ', the fleet needs 15 or newer',
    'upgrade the server', '{}'::text[]
FROM me
WHERE me.version < 150000
UNION ALL
SELECT 'server', 'is a standby and cannot be written to', 'give DATABASE_URL the address of the primary', '{}'
WHERE pg_is_in_recovery()
UNION ALL
SELECT 'role ' || r.name, 'is missing, and ' || me.rolname || ' may not create it', 'an administrator does',
    format('CREATE ROLE %%I NOLOGIN%%s', r.name, CASE r.name WHEN 'service_role' THEN ' BYPASSRLS' END)
    || CASE r.name WHEN 'fleet' THEN ARRAY[format('GRANT fleet TO %%s', me.name)] ELSE '{}' END
FROM me, roles r
WHERE r.role IS NULL AND NOT (me.rolsuper OR me.rolcreaterole)
UNION ALL
SELECT 'role fleet', me.rolname || ' may not act as it', 'an administrator allows it', ARRAY[format('GRANT fleet TO %%s', me.name)]
FROM me
WHERE NOT pg_has_role(current_user, to_regrole('fleet'), CASE WHEN me.version >= 160000 THEN 'SET' ELSE 'MEMBER' END)
  AND NOT (me.rolcreaterole AND me.version < 160000)
  AND NOT pg_has_role(current_user, to_regrole('fleet'), 'MEMBER WITH ADMIN OPTION')
UNION ALL
SELECT 'schema ' || s.name, me.rolname || ' may not work in it', 'its owner allows it',
    ARRAY[format('GRANT USAGE, CREATE ON SCHEMA %%I TO %%s', s.name, me.name)]
FROM me, schemas s
WHERE NOT has_schema_privilege(s.schema, s.needed)
UNION ALL
SELECT 'database', me.rolname || ' may not create a schema in it', 'its owner allows it',
    ARRAY[format('GRANT CREATE ON DATABASE %%I TO %%s', current_database(), me.name)]
FROM me
WHERE NOT me.creates_schemas AND EXISTS (SELECT FROM schemas s WHERE s.schema IS NULL)

-- name: strange_schema
-- What stands in schema fleet where no migration of ours ever ran.
SELECT c.relname::text
FROM pg_class c
WHERE c.relnamespace = to_regnamespace('fleet') AND NOT EXISTS (
    SELECT FROM pg_class ours WHERE ours.relnamespace = c.relnamespace AND ours.relname = 'schema_migrations')
ORDER BY c.relname
LIMIT 3

-- name: invalid_indexes
SELECT c.relname::text
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
WHERE NOT i.indisvalid AND c.relnamespace = to_regnamespace('public') AND c.relname = ANY (%(names)s)
