-- Runs, and what is kept of them beside their samples. Cycles and the numbers of a ring's records are counted by their run.

CREATE TABLE corerl.run (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    agent text NOT NULL,
    instance text NOT NULL,
    -- No other run of a runtime has it; as 16 hexadecimal digits.
    number text NOT NULL,
    period_ns bigint NOT NULL,
    -- The first record of the runtime's rings that is not in here yet, and is not in a gap either.
    next_cycle_record bigint NOT NULL DEFAULT 0,
    next_event bigint NOT NULL DEFAULT 0,
    -- The last cycle that has a sample.
    last_cycle bigint,
    UNIQUE (site, agent, instance, number)
);

CREATE TABLE corerl.track (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run integer NOT NULL REFERENCES corerl.run,
    -- tag, setpoint.raw, setpoint.sent, setpoint.written, setpoint.readback, reward, mode, policy, value or spread.
    kind text NOT NULL,
    name text NOT NULL,
    unit text NOT NULL,
    UNIQUE (run, kind, name)
);
CREATE INDEX track_by_name ON corerl.track (name, kind);

-- A cycle's time: of the run's clock with the greatest first_cycle that is not after it,
-- unix_ns + (cycle - first_cycle) * period_ns. Samples have theirs already.
CREATE TABLE corerl.clock (
    run integer NOT NULL REFERENCES corerl.run,
    first_cycle bigint NOT NULL,
    unix_ns bigint NOT NULL,
    PRIMARY KEY (run, first_cycle)
);

CREATE TABLE corerl.event (
    time timestamptz NOT NULL,
    run integer NOT NULL REFERENCES corerl.run,
    -- Its number in the runtime's ring.
    number bigint NOT NULL,
    cycle bigint NOT NULL,
    kind text NOT NULL,
    cause bigint NOT NULL,
    uid bigint,
    a bigint NOT NULL,
    b bigint NOT NULL,
    text text NOT NULL,
    PRIMARY KEY (run, number)
);
CREATE INDEX event_by_time ON corerl.event (time);

-- What should be here and is not.
CREATE TABLE corerl.gap (
    run integer NOT NULL REFERENCES corerl.run,
    -- cycles or events.
    what text NOT NULL,
    -- The first number of the ring that is missing, and how many are.
    first bigint NOT NULL,
    count bigint NOT NULL,
    -- The cycles on both sides of it, as far as they are known.
    after_cycle bigint,
    before_cycle bigint,
    why text NOT NULL,
    PRIMARY KEY (run, what, first)
);
