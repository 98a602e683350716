-- What TimescaleDB does under its own licence alone, and not as an Apache build: old chunks compressed, hours gathered.

ALTER TABLE corerl.sample
    SET (timescaledb.compress, timescaledb.compress_segmentby = 'track', timescaledb.compress_orderby = 'time');
SELECT add_compression_policy('corerl.sample', interval '7 days');

CREATE MATERIALIZED VIEW corerl.sample_hourly WITH (timescaledb.continuous) AS
SELECT time_bucket(interval '1 hour', time) AS time, run, track,
       count(*) AS samples,
       avg(value) FILTER (WHERE value <> 'NaN') AS mean,
       min(value) FILTER (WHERE value <> 'NaN') AS least,
       max(value) FILTER (WHERE value <> 'NaN') AS greatest
FROM corerl.sample
GROUP BY 1, 2, 3
WITH NO DATA;
SELECT add_continuous_aggregate_policy('corerl.sample_hourly',
    start_offset => interval '7 days', end_offset => interval '1 hour', schedule_interval => interval '1 hour');
