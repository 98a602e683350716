-- When a sample was so by its source's own clock; nothing where the source says nothing of it.

ALTER TABLE corerl.sample ADD COLUMN source_time timestamptz;

CREATE OR REPLACE VIEW corerl.sample_named AS
SELECT sample.time, run.site, run.agent, run.instance, track.kind, track.name AS tag, sample.value, track.unit,
       CASE WHEN track.kind = 'tag' THEN
           CASE sample.state WHEN 0 THEN 'good' WHEN 1 THEN 'uncertain' WHEN 2 THEN 'bad' WHEN 3 THEN 'stale' ELSE 'unknown' END
       END AS quality,
       sample.cycle, sample.source_time
FROM corerl.sample
JOIN corerl.track ON track.id = sample.track
JOIN corerl.run ON run.id = sample.run;
