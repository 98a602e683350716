-- Samples as a hypertable, a chunk for each day.

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
);
SELECT create_hypertable('corerl.sample', 'time', chunk_time_interval => interval '1 day', create_default_indexes => false);
CREATE INDEX sample_by_track ON corerl.sample (track, time);

-- Chunks come by themselves.
CREATE FUNCTION corerl.day(day date) RETURNS void LANGUAGE sql AS '';
REVOKE ALL ON FUNCTION corerl.day(date) FROM PUBLIC;
