-- Whether a migrated database is still as the migrations left it, for `fleet db verify`. Reads catalogs only.

-- name: broken
-- Ours, and not as it must be: disabled triggers, a role that cannot act.
SELECT 'trigger ' || t.tgname, 'it is disabled: ALTER TABLE ' || t.tgrelid::regclass::text || ' ENABLE TRIGGER ' || t.tgname
FROM pg_trigger t
WHERE t.tgname LIKE 'fleet\_%' AND t.tgenabled = 'D'
UNION ALL
SELECT 'role fleet', current_user || ' may not act as fleet: GRANT fleet TO ' || quote_ident(current_user)
WHERE NOT pg_has_role(
    current_user, to_regrole('fleet'),
    CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END
)

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
