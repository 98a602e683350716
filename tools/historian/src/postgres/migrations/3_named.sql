-- Samples with their names, for people and for Grafana. Bound it by time.

CREATE VIEW corerl.sample_named AS
SELECT sample.time, run.site, run.agent, run.instance, track.kind, track.name AS tag, sample.value, track.unit,
       CASE WHEN track.kind = 'tag' THEN
           CASE sample.state WHEN 0 THEN 'good' WHEN 1 THEN 'uncertain' WHEN 2 THEN 'bad' ELSE 'unknown' END
       END AS quality,
       sample.cycle
FROM corerl.sample
JOIN corerl.track ON track.id = sample.track
JOIN corerl.run ON run.id = sample.run;
