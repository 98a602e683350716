-- What each minute and each hour was like: rolled from samples, and kept when these are gone.

CREATE TABLE corerl.minute (
    -- When it begins.
    time timestamptz NOT NULL,
    run integer NOT NULL,
    track integer NOT NULL,
    -- Which of the track's minutes and hours, in the order in which they were rolled. The same minute comes in parts, each of which
    -- counts, where a clock was set back or the run came to rest in it.
    number bigint NOT NULL,
    -- Samples in it.
    count bigint NOT NULL,
    -- For how long something is known, there was a value, and a good one.
    known_ns bigint NOT NULL,
    valued_ns bigint NOT NULL,
    good_ns bigint NOT NULL,
    -- Of the values that were held, each for as long as it was; NaN for none.
    mean double precision NOT NULL,
    min double precision NOT NULL,
    max double precision NOT NULL,
    last double precision NOT NULL,
    PRIMARY KEY (track, time, number)
) PARTITION BY RANGE (time);
CREATE TABLE corerl.hour (LIKE corerl.minute INCLUDING ALL) PARTITION BY RANGE (time);

-- Up to which of its cycles a track is rolled, to how many minutes and hours, and what is there of those that are not over.
CREATE TABLE corerl.rolling (
    track integer PRIMARY KEY REFERENCES corerl.track,
    cycle bigint NOT NULL,
    buckets bigint NOT NULL,
    bytes bytea NOT NULL
);

-- How far a run is: when it had so many records, and this last cycle, all its samples were rolled. No foreign key checks the run:
-- its row changes all the time, and that would be a conflict.
CREATE TABLE corerl.rolled (
    run integer PRIMARY KEY,
    next_cycle_record bigint NOT NULL,
    cycle bigint,
    at timestamptz NOT NULL DEFAULT now(),
    -- Nothing has come for long since then, and its last minute and hour are there as far as they go.
    rests boolean NOT NULL
);

-- The same with names, for people and for Grafana. Bound them by time.
CREATE VIEW corerl.minute_named AS
SELECT minute.time, run.site, run.agent, run.instance, track.kind, track.name AS tag, minute.count,
       nullif(minute.mean, 'NaN') AS mean, nullif(minute.min, 'NaN') AS min, nullif(minute.max, 'NaN') AS max,
       nullif(minute.last, 'NaN') AS last, track.unit,
       minute.good_ns::double precision / nullif(minute.known_ns, 0) AS good
FROM corerl.minute
JOIN corerl.track ON track.id = minute.track
JOIN corerl.run ON run.id = minute.run;
CREATE VIEW corerl.hour_named AS
SELECT hour.time, run.site, run.agent, run.instance, track.kind, track.name AS tag, hour.count,
       nullif(hour.mean, 'NaN') AS mean, nullif(hour.min, 'NaN') AS min, nullif(hour.max, 'NaN') AS max,
       nullif(hour.last, 'NaN') AS last, track.unit,
       hour.good_ns::double precision / nullif(hour.known_ns, 0) AS good
FROM corerl.hour
JOIN corerl.track ON track.id = hour.track
JOIN corerl.run ON run.id = hour.run;

CREATE FUNCTION corerl.add_partition(of text, first date, next date) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := of || to_char(first, '_YYYYMMDD');
    begins text := to_char(first, 'YYYY-MM-DD') || ' 00:00:00+00';
    ends text := to_char(next, 'YYYY-MM-DD') || ' 00:00:00+00';
BEGIN
    IF to_regclass('corerl.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE corerl.%I (LIKE corerl.%I, CHECK (time >= %L AND time < %L))', name, of, begins, ends);
    EXECUTE format('ALTER TABLE corerl.%I ATTACH PARTITION corerl.%I FOR VALUES FROM (%L) TO (%L)', of, name, begins, ends);
END
$$;
REVOKE ALL ON FUNCTION corerl.add_partition(text, date, date) FROM PUBLIC;

-- Sees to it that minutes of a day and hours of its month have their partitions, which nobody drops before the caller is done.
CREATE FUNCTION corerl.rolled_day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    month timestamp := date_trunc('month', day::timestamp);
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('corerl.rolled_day'));
    PERFORM corerl.add_partition('minute', day, day + 1);
    PERFORM corerl.add_partition('hour', month::date, (month + interval '1 month')::date);
END
$$;
REVOKE ALL ON FUNCTION corerl.rolled_day(date) FROM PUBLIC;

-- How long what is kept, and how much of it.
ALTER TABLE corerl.retention
    ALTER days DROP NOT NULL,
    ADD bytes bigint CHECK (bytes >= 0),
    ADD CHECK (days IS NOT NULL OR bytes IS NOT NULL),
    DROP CONSTRAINT retention_class_check,
    ADD CONSTRAINT retention_class_check CHECK (class IN ('samples', 'events', 'minutes', 'hours'));

-- The schema of TimescaleDB's functions, where samples are a hypertable.
CREATE FUNCTION corerl.timescaledb() RETURNS name
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
    WHERE extname = 'timescaledb' AND (SELECT form FROM corerl.migration WHERE number = 2) <> 'plain'
$$;
REVOKE ALL ON FUNCTION corerl.timescaledb() FROM PUBLIC;

-- What can be dropped of a table: up to which day each part goes, that one not included, and its bytes. A table of events gives nothing
-- back to the disk, only to itself: there the rows count.
CREATE FUNCTION corerl.parts(of text) RETURNS TABLE (next date, bytes bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF of = 'event' THEN
        RETURN QUERY SELECT (time AT TIME ZONE 'UTC')::date + 1, sum(pg_column_size(event.*))::bigint FROM corerl.event GROUP BY 1;
    ELSIF of = 'sample' AND corerl.timescaledb() IS NOT NULL THEN
        RETURN QUERY EXECUTE format(
            'SELECT (range_end AT TIME ZONE ''UTC'')::date, total_bytes FROM timescaledb_information.chunks
             JOIN %I.chunks_detailed_size(''corerl.sample'') USING (chunk_schema, chunk_name)', corerl.timescaledb());
    ELSE
        RETURN QUERY
        SELECT (first + CASE of WHEN 'hour' THEN interval '1 month' ELSE interval '1 day' END)::date, pg_total_relation_size(part)
        FROM (
            SELECT inhrelid AS part, to_date(right(relname, 8), 'YYYYMMDD')::timestamp AS first
            FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
            WHERE inhparent = format('corerl.%I', of)::regclass AND relname ~ ('^' || of || '_[0-9]{8}$')
        ) AS partition;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION corerl.parts(text) FROM PUBLIC;

-- Drops the parts of a table that lie before a day; how many, or how many rows of events.
CREATE FUNCTION corerl.drop_parts(of text, before date) RETURNS bigint
LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    until timestamptz := before::timestamp AT TIME ZONE 'UTC';
    old text;
    dropped bigint := 0;
BEGIN
    IF of = 'event' THEN
        DELETE FROM corerl.event WHERE time < until;
        GET DIAGNOSTICS dropped = ROW_COUNT;
    ELSIF of = 'sample' AND corerl.timescaledb() IS NOT NULL THEN
        EXECUTE format('SELECT count(*) FROM %I.drop_chunks(''corerl.sample'', older_than => $1)', corerl.timescaledb())
        INTO dropped USING until;
    ELSE
        PERFORM pg_advisory_xact_lock(hashtext(CASE of WHEN 'sample' THEN 'corerl.day' ELSE 'corerl.rolled_day' END));
        FOR old IN
            SELECT of || to_char(next - CASE of WHEN 'hour' THEN interval '1 month' ELSE interval '1 day' END, '_YYYYMMDD')
            FROM corerl.parts(of) WHERE next <= before
        LOOP
            EXECUTE format('DROP TABLE corerl.%I', old);
            dropped := dropped + 1;
        END LOOP;
    END IF;
    RETURN dropped;
END
$$;
REVOKE ALL ON FUNCTION corerl.drop_parts(text, date) FROM PUBLIC;
DROP FUNCTION corerl.drop_samples(date);

-- Before this day every sample is rolled.
CREATE FUNCTION corerl.rolled_before() RETURNS date
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((to_timestamp(min(unix_ns) / 1e9) AT TIME ZONE 'UTC')::date, 'infinity')
    FROM corerl.run
    LEFT JOIN corerl.rolled ON rolled.run = run.id
    CROSS JOIN LATERAL (
        SELECT clock.unix_ns + greatest(rolled.cycle - first_cycle, 0) * period_ns AS unix_ns FROM corerl.clock
        WHERE clock.run = run.id AND first_cycle >= coalesce(
            (SELECT max(first_cycle) FROM corerl.clock WHERE clock.run = run.id AND first_cycle <= rolled.cycle), 0)
    ) AS unrolled
    WHERE run.next_cycle_record > coalesce(rolled.next_cycle_record, 0)
$$;
REVOKE ALL ON FUNCTION corerl.rolled_before() FROM PUBLIC;

-- Drops what is older than the owner permits, or the oldest of what is more than that, and says how much it was: days of samples and
-- minutes, months of hours, rows of events. What is of today stays; samples that are not rolled yet go when there are too many, and
-- for no other reason. Whoever may call this can take away nothing else. It gives up rather than let writers wait behind a reader.
CREATE OR REPLACE FUNCTION corerl.purge() RETURNS TABLE (class text, count bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
#variable_conflict use_column
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    kept corerl.retention;
    old date;
    many date;
BEGIN
    -- Samples first: whoever rolls locks them before minutes, too.
    FOR kept IN SELECT * FROM corerl.retention ORDER BY class DESC LOOP
        old := today - kept.days;
        IF kept.class = 'samples' AND old IS NOT NULL THEN
            old := least(old, corerl.rolled_before());
        END IF;
        SELECT max(next) INTO many
        FROM (SELECT next, sum(bytes) OVER (ORDER BY next DESC) AS bytes FROM corerl.parts(rtrim(kept.class, 's'))) AS part
        WHERE bytes > kept.bytes AND next <= today;
        RETURN QUERY SELECT kept.class, coalesce(corerl.drop_parts(rtrim(kept.class, 's'), greatest(old, many)), 0);
    END LOOP;
END
$$;

-- Roles that were made before this step.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'corerl_historian') THEN
        GRANT INSERT ON corerl.minute, corerl.hour TO corerl_historian;
        GRANT SELECT, INSERT, UPDATE ON corerl.rolling, corerl.rolled TO corerl_historian;
        GRANT EXECUTE ON FUNCTION corerl.rolled_day(date) TO corerl_historian;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'corerl_reader') THEN
        GRANT SELECT ON corerl.minute, corerl.hour, corerl.rolling, corerl.rolled, corerl.minute_named, corerl.hour_named TO corerl_reader;
    END IF;
END
$$;
