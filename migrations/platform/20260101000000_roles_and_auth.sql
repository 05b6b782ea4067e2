-- What Supabase brings and plain PostgreSQL lacks: the three roles of its API, and schema auth with users and uid().
--
-- Each is made only where it is absent. On Supabase every statement here finds its object and does nothing.

-- Home of the helpers in the later files of this folder, and of everything that the fleet adds.
CREATE SCHEMA IF NOT EXISTS fleet;

-- Roles belong to the whole cluster: the migration of another database may create one between our look and our CREATE.
DO $roles$
DECLARE
    missing text[] := ARRAY(
        SELECT name FROM unnest(ARRAY['anon', 'authenticated', 'service_role']) AS name WHERE to_regrole(name) IS NULL
    );
    me pg_catalog.pg_roles;
    may_grant_bypass boolean;
    role_name text;
BEGIN
    SELECT * INTO STRICT me FROM pg_catalog.pg_roles WHERE rolname = current_user;
    IF missing <> '{}' AND NOT (me.rolsuper OR me.rolcreaterole) THEN
        RAISE EXCEPTION 'the roles % are missing and % may not create any', array_to_string(missing, ', '), current_user
            USING HINT = format('As an administrator: %s', (
                SELECT string_agg(
                    format('CREATE ROLE %I NOLOGIN%s;', name, CASE name WHEN 'service_role' THEN ' BYPASSRLS' END), ' ')
                FROM unnest(missing) AS name));
    END IF;

    -- Since version 16 whoever has BYPASSRLS may pass it on; before, only a superuser.
    may_grant_bypass := me.rolsuper OR (me.rolbypassrls AND current_setting('server_version_num')::integer >= 160000);
    FOREACH role_name IN ARRAY missing LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN%s', role_name,
                           CASE WHEN role_name = 'service_role' AND may_grant_bypass THEN ' BYPASSRLS' END);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$roles$;

DO $schema$
BEGIN
    IF to_regnamespace('auth') IS NULL THEN
        CREATE SCHEMA auth;
        GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role;
    END IF;
END
$schema$;

DO $users$
BEGIN
    IF to_regclass('auth.users') IS NULL THEN
        CREATE TABLE auth.users (
            id uuid PRIMARY KEY,
            email text
        );
    END IF;
END
$users$;

-- Who is signed in, from the claims that the API sets for each transaction; NULL when nobody is. The setting reads
-- as an empty text, not as NULL, in a session that used it in an earlier transaction.
DO $uid$
BEGIN
    IF to_regprocedure('auth.uid()') IS NULL THEN
        CREATE FUNCTION auth.uid() RETURNS uuid
        LANGUAGE sql STABLE SET search_path = ''
        AS $body$
            SELECT nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid
        $body$;
        GRANT EXECUTE ON FUNCTION auth.uid() TO anon, authenticated, service_role;
    END IF;
END
$uid$;

DO $public$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
        IF NOT has_schema_privilege(role_name, 'public', 'USAGE') THEN
            EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role_name);
        END IF;
    END LOOP;
END
$public$;
