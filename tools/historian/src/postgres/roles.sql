-- Two roles: one for the historian, which may add, and neither look at nor take away what is there, and one for whoever reads.
-- Run this once as the owner of the schema, behind corerl-historian --migrate; then give corerl_historian a password:
-- \password corerl_historian

CREATE ROLE corerl_historian LOGIN NOINHERIT;
GRANT USAGE ON SCHEMA corerl TO corerl_historian;
GRANT SELECT ON corerl.migration TO corerl_historian;
GRANT SELECT, INSERT ON corerl.run, corerl.track TO corerl_historian;
GRANT UPDATE (next_cycle_record, next_event, last_cycle) ON corerl.run TO corerl_historian;
GRANT INSERT ON corerl.sample, corerl.clock, corerl.event, corerl.gap, corerl.minute, corerl.hour TO corerl_historian;
GRANT SELECT, INSERT, UPDATE ON corerl.rolling, corerl.rolled TO corerl_historian;
GRANT EXECUTE ON FUNCTION corerl.day(date), corerl.rolled_day(date), corerl.purge() TO corerl_historian;

CREATE ROLE corerl_reader LOGIN;
GRANT USAGE ON SCHEMA corerl TO corerl_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA corerl TO corerl_reader;
-- Where the historian answers what is kept, it puts this role on, in a connection in which nothing can be written.
GRANT corerl_reader TO corerl_historian;
