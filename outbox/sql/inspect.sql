-- What a database looks like, for `fleet db plan` and `fleet db verify`. Reads catalogs only.

-- name: columns
SELECT c.relname, a.attname, format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL),
    CASE WHEN t.typtype = 'e' THEN t.oid::regtype::text END,
    pg_has_role(t.typowner, 'USAGE'),
    (SELECT array_agg(e.enumlabel::text) FROM pg_enum e WHERE e.enumtypid = t.oid)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relkind IN ('r', 'p') AND c.relname = ANY (%(tables)s)
ORDER BY c.relname, a.attnum

-- name: castable_enums
SELECT c.casttarget::regtype::text
FROM pg_cast c
WHERE c.castsource = 'text'::regtype AND c.castcontext IN ('a', 'i')

-- name: checks_of_column
SELECT k.conname, pg_get_expr(k.conbin, k.conrelid), k.convalidated
FROM pg_constraint k
JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attname = %(column)s
WHERE k.conrelid = to_regclass('public.' || %(table)s) AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum]

-- name: unique_columns
-- Columns that a valid unique index covers alone and for every row.
SELECT a.attname
FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = to_regclass('public.' || %(table)s)
  AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL

-- name: duplicate_keys
SELECT idempotency_key::text
FROM public.channel_outbox
WHERE idempotency_key IS NOT NULL
GROUP BY idempotency_key
HAVING count(*) > 1
LIMIT 100

-- name: surroundings
WITH queues AS (
    SELECT to_regclass('public.channel_outbox') AS relation
    UNION ALL
    SELECT to_regclass('public.job_queue')
)
SELECT q.relation::text, 'trigger', t.tgname::text
FROM queues q
JOIN pg_trigger t ON t.tgrelid = q.relation AND NOT t.tgisinternal AND t.tgname NOT LIKE 'fleet\_%%'
UNION ALL
SELECT q.relation::text, 'publication', p.pubname::text
FROM queues q
JOIN pg_publication_tables pt ON to_regclass(format('%%I.%%I', pt.schemaname, pt.tablename)) = q.relation
JOIN pg_publication p ON p.pubname = pt.pubname
UNION ALL
SELECT q.relation::text, 'replica identity', c.relname::text
FROM queues q
JOIN pg_class c ON c.oid = q.relation AND c.relreplident = 'f'
UNION ALL
SELECT q.relation::text, 'check', k.conname::text
FROM queues q
JOIN pg_constraint k ON k.conrelid = q.relation AND k.contype = 'c' AND cardinality(k.conkey) > 1

-- name: broken
-- Ours, and not as it must be: invalid indexes, disabled triggers, a role that cannot act.
SELECT 'index ' || c.relname, 'it is invalid: fleet db migrate builds it again'
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
WHERE NOT i.indisvalid AND (c.relname LIKE 'fleet\_%%' OR c.relname LIKE 'idx\_%%')
UNION ALL
SELECT 'trigger ' || t.tgname, 'it is disabled: ALTER TABLE ' || t.tgrelid::regclass::text || ' ENABLE TRIGGER ' || t.tgname
FROM pg_trigger t
WHERE t.tgname LIKE 'fleet\_%%' AND t.tgenabled = 'D'
UNION ALL
SELECT 'role fleet', current_user || ' may not act as fleet: GRANT fleet TO ' || quote_ident(current_user)
WHERE to_regrole('fleet') IS NOT NULL AND NOT pg_has_role(current_user, to_regrole('fleet'), 'MEMBER')

-- name: missing
-- Objects that the migrations made and that are gone since.
SELECT wanted.name
FROM unnest(%(names)s::text[], %(kinds)s::text[]) AS wanted (name, kind)
WHERE CASE wanted.kind
    WHEN 'FUNCTION' THEN NOT EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace::regnamespace::text || '.' || p.proname = wanted.name)
    WHEN 'TRIGGER' THEN NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgname = wanted.name)
    ELSE NOT EXISTS (
        SELECT FROM pg_class c
        WHERE wanted.name IN (c.relname::text, c.relnamespace::regnamespace::text || '.' || c.relname::text)
    )
END
