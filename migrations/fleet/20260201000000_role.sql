-- The fleet's own schema and role, and its clock.
--
-- Every process of the fleet works as role `fleet`, whoever it connects as; the guard on the ledger knows it by that.
-- Roles are cluster-wide: another database's migration may create it in the same moment.

CREATE SCHEMA IF NOT EXISTS fleet;

DO $$
BEGIN
    IF to_regrole('fleet') IS NULL THEN
        CREATE ROLE fleet NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'role fleet is missing and % may not create it', current_user
            USING HINT = format('As an administrator: CREATE ROLE fleet NOLOGIN; GRANT fleet TO %I;', current_user);
END
$$;

-- Whoever migrates may act as the fleet, so that one DATABASE_URL serves both; a superuser may anyway. Since version 16
-- a role that was made by us is ours to pass on, which does not yet mean that we may become it.
DO $$
BEGIN
    IF NOT pg_has_role(
        current_user, 'fleet', CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END
    ) THEN
        EXECUTE format('GRANT fleet TO %I', current_user);
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION '% may not act as role fleet', current_user
            USING HINT = format('As an administrator: GRANT fleet TO %I;', current_user);
END
$$;

GRANT USAGE ON SCHEMA fleet TO fleet;
GRANT USAGE ON SCHEMA public TO fleet;

-- The one clock of the ledger. Every statement asks it, so that a test can move time by replacing it.
CREATE OR REPLACE FUNCTION fleet.now() RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT pg_catalog.now() $$;

GRANT EXECUTE ON FUNCTION fleet.now() TO fleet;
