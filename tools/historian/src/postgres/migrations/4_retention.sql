-- For how long what is kept, days. The owner of the schema says so; what is not named is kept for ever.

CREATE TABLE corerl.retention (
    class text PRIMARY KEY CHECK (class IN ('samples', 'events')),
    days integer NOT NULL CHECK (days > 0)
);

-- Drops the partitions of samples before a day, or the chunks of a hypertable; how many.
CREATE FUNCTION corerl.drop_samples(before date) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    old text;
    extension text;
    dropped bigint := 0;
BEGIN
    IF (SELECT form FROM corerl.migration WHERE number = 2) <> 'plain' THEN
        SELECT nspname INTO extension FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
        WHERE extname = 'timescaledb';
        EXECUTE format('SELECT count(*) FROM %I.drop_chunks(''corerl.sample'', older_than => $1)', extension)
        INTO dropped USING before::timestamp AT TIME ZONE 'UTC';
        RETURN dropped;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('corerl.day'));
    FOR old IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'corerl.sample'::regclass AND relname ~ '^sample_[0-9]{8}$'
            AND to_date(substr(relname, 8), 'YYYYMMDD') < before
    LOOP
        EXECUTE format('DROP TABLE corerl.%I', old);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
REVOKE ALL ON FUNCTION corerl.drop_samples(date) FROM PUBLIC;

-- Drops what is older than the owner permits, and says how much that was: days of samples, rows of events. Whoever may call this can
-- take away nothing else. It gives up rather than let writers wait behind a reader.
CREATE FUNCTION corerl.purge() RETURNS TABLE (class text, count bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
#variable_conflict use_column
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    kept integer;
    dropped bigint;
BEGIN
    SELECT days INTO kept FROM corerl.retention WHERE class = 'samples';
    IF FOUND THEN
        RETURN QUERY SELECT 'samples', corerl.drop_samples(today - kept);
    END IF;
    SELECT days INTO kept FROM corerl.retention WHERE class = 'events';
    IF FOUND THEN
        DELETE FROM corerl.event WHERE time < (today - kept)::timestamp AT TIME ZONE 'UTC';
        GET DIAGNOSTICS dropped = ROW_COUNT;
        RETURN QUERY SELECT 'events', dropped;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION corerl.purge() FROM PUBLIC;

-- Roles that were made before this step.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'corerl_historian') THEN
        GRANT EXECUTE ON FUNCTION corerl.purge() TO corerl_historian;
    END IF;
END
$$;
