-- Samples, a partition for each day of UTC. Runs and tracks are not checked by foreign keys: that would be a look-up for each row.

CREATE TABLE corerl.sample (
    time timestamptz NOT NULL,
    cycle bigint NOT NULL,
    -- In engineering units; NaN for none.
    value double precision NOT NULL,
    -- Of a tag the quality; of a sent setpoint the limits that acted, bit by bit.
    state bigint NOT NULL,
    -- How old the value was in that cycle, microseconds.
    age_us bigint NOT NULL,
    run integer NOT NULL,
    track integer NOT NULL
) PARTITION BY RANGE (time);
CREATE INDEX sample_by_track ON corerl.sample (track, time);

-- Sees to it that a day has its partition. Whoever writes needs no right to create anything else. A table that is attached locks
-- the others' readers out for no moment, as one that is created inside would.
CREATE FUNCTION corerl.day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := 'sample_' || to_char(day, 'YYYYMMDD');
    first text := to_char(day, 'YYYY-MM-DD') || ' 00:00:00+00';
    next text := to_char(day + 1, 'YYYY-MM-DD') || ' 00:00:00+00';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('corerl.day'));
    IF to_regclass('corerl.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE corerl.%I (LIKE corerl.sample, CHECK (time >= %L AND time < %L))', name, first, next);
    EXECUTE format('ALTER TABLE corerl.sample ATTACH PARTITION corerl.%I FOR VALUES FROM (%L) TO (%L)', name, first, next);
END
$$;
REVOKE ALL ON FUNCTION corerl.day(date) FROM PUBLIC;
