-- Which database this is, as it was last said: a copy, or one that was restored elsewhere, bears the row and is not the
-- one that the row names. It must not send what the other sends.

CREATE TABLE IF NOT EXISTS fleet.identity (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    system_identifier bigint NOT NULL,    -- of the cluster; every initdb makes a new one
    database_oid oid NOT NULL,            -- within the cluster; every CREATE DATABASE makes a new one
    table_oid oid NOT NULL,               -- of this table; every dump that is restored makes a new one
    said_by text NOT NULL,
    said_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO fleet.identity (system_identifier, database_oid, table_oid, said_by)
SELECT c.system_identifier, d.oid, 'fleet.identity'::regclass, 'fleet db migrate'
FROM pg_control_system() c
JOIN pg_database d ON d.datname = current_database()
ON CONFLICT DO NOTHING;

-- Is this the database that the row names? Asked once a claim.
CREATE OR REPLACE FUNCTION fleet.is_recognised() RETURNS boolean
LANGUAGE sql STABLE SET search_path = ''
AS $$
    SELECT EXISTS (
        SELECT
        FROM fleet.identity i
        JOIN pg_catalog.pg_control_system() c USING (system_identifier)
        JOIN pg_catalog.pg_database d ON d.oid = i.database_oid AND d.datname = pg_catalog.current_database()
        WHERE i.table_oid = 'fleet.identity'::pg_catalog.regclass
    )
$$;

GRANT SELECT, UPDATE ON fleet.identity TO fleet;
GRANT EXECUTE ON FUNCTION fleet.is_recognised() TO fleet;
