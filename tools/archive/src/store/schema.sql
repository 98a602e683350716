-- The hot days of an archive. Values are in blocks, which `archive::unpack` reads; everything else is for any SQLite.
-- Cycles are counted by their run. A cycle's time: of the run's clock with the greatest first_cycle that is not after it,
-- unix_ns + (cycle - first_cycle) * period_ns.

CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    site TEXT NOT NULL,
    agent TEXT NOT NULL,
    instance TEXT NOT NULL,
    -- No other run of a runtime has it; as 16 hexadecimal digits.
    number TEXT NOT NULL,
    period_ns INTEGER NOT NULL,
    -- The first record of the runtime's rings that is not in here yet, and is not in a gap either.
    next_cycle_record INTEGER NOT NULL DEFAULT 0,
    next_event INTEGER NOT NULL DEFAULT 0,
    -- The last cycle that was read.
    last_cycle INTEGER,
    -- The newest cycle of a point that has come into blocks, minutes and hours.
    compacted INTEGER,
    UNIQUE (site, agent, instance, number)
) STRICT;

CREATE TABLE clock (
    run INTEGER NOT NULL REFERENCES run,
    first_cycle INTEGER NOT NULL,
    unix_ns INTEGER NOT NULL,
    PRIMARY KEY (run, first_cycle)
) STRICT, WITHOUT ROWID;

CREATE TABLE track (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES run,
    -- tag, setpoint.raw, setpoint.sent, setpoint.written, setpoint.readback, reward, mode, policy, value or spread.
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    UNIQUE (run, kind, name)
) STRICT;
CREATE INDEX track_by_name ON track (name, kind);

-- Points of many tracks, as they came: one row for each commit.
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES run,
    first_cycle INTEGER NOT NULL,
    last_cycle INTEGER NOT NULL,
    points BLOB NOT NULL
) STRICT;

-- Points of one track over a longer time.
CREATE TABLE block (
    id INTEGER PRIMARY KEY,
    track INTEGER NOT NULL REFERENCES track,
    first_cycle INTEGER NOT NULL,
    last_cycle INTEGER NOT NULL,
    points INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX block_by_track ON block (track, first_cycle, last_cycle);

-- Minutes and hours of one track, which `archive` reads: 1440 together, number `span` since 1970.
CREATE TABLE rollup (
    id INTEGER PRIMARY KEY,
    track INTEGER NOT NULL REFERENCES track,
    width_s INTEGER NOT NULL,
    span INTEGER NOT NULL,
    size INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX rollup_by_track ON rollup (track, width_s, span);
CREATE INDEX rollup_by_age ON rollup (width_s, span, size);

-- What each track holds at present, and its minute and hour that are not over.
CREATE TABLE rolling (
    track INTEGER PRIMARY KEY REFERENCES track,
    bytes BLOB NOT NULL
) STRICT;

CREATE TABLE event (
    run INTEGER NOT NULL REFERENCES run,
    -- Its number in the runtime's ring.
    number INTEGER NOT NULL,
    cycle INTEGER NOT NULL,
    unix_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,
    cause INTEGER NOT NULL,
    uid INTEGER,
    a INTEGER NOT NULL,
    b INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_by_time ON event (unix_ns);

-- What should be here and is not.
CREATE TABLE gap (
    run INTEGER NOT NULL REFERENCES run,
    -- cycles or events.
    what TEXT NOT NULL,
    -- The first number of the ring that is missing, and how many are.
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    -- The cycles on both sides of it, as far as they are known.
    after_cycle INTEGER,
    before_cycle INTEGER,
    why TEXT NOT NULL,
    PRIMARY KEY (run, what, first)
) STRICT, WITHOUT ROWID;

-- Files of days that are sealed. What is in one of them is in no row above.
CREATE TABLE sealed (
    id INTEGER PRIMARY KEY,
    -- Days since 1970, UTC.
    day INTEGER NOT NULL,
    site TEXT NOT NULL,
    -- samples, events or gaps.
    class TEXT NOT NULL,
    -- From 0; what comes late, because a clock was set, has a part of its own. Below 0 for what was brought in from elsewhere.
    part INTEGER NOT NULL,
    -- Below the history's directory.
    path TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    -- The first and the last instant in it.
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    -- BLAKE3, as `b3sum` prints it.
    digest TEXT NOT NULL,
    UNIQUE (day, site, class, part)
) STRICT;

-- The groups of rows of a file, and at last its footer: each can be checked and read without the others.
CREATE TABLE piece (
    sealed INTEGER NOT NULL REFERENCES sealed,
    number INTEGER NOT NULL,
    first_byte INTEGER NOT NULL,
    size INTEGER NOT NULL,
    crc32 INTEGER NOT NULL,
    PRIMARY KEY (sealed, number)
) STRICT, WITHOUT ROWID;

-- Where a track's points lie in a file: in which group, from which row on.
CREATE TABLE share (
    track INTEGER NOT NULL REFERENCES track,
    sealed INTEGER NOT NULL REFERENCES sealed,
    piece INTEGER NOT NULL,
    first_row INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    first_cycle INTEGER NOT NULL,
    last_cycle INTEGER NOT NULL,
    PRIMARY KEY (track, sealed, piece)
) STRICT, WITHOUT ROWID;
CREATE INDEX share_by_file ON share (sealed);

-- What was here and is not any more, because its time was over or the place was needed.
CREATE TABLE purged (
    id INTEGER PRIMARY KEY,
    -- samples, events, gaps, minutes or hours.
    what TEXT NOT NULL,
    -- NULL for minutes and hours, which are those of all sites.
    site TEXT,
    -- The first and the last instant of it.
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    size INTEGER NOT NULL,
    -- When it was purged.
    unix_ns INTEGER NOT NULL,
    -- The file, until it is deleted.
    path TEXT UNIQUE
) STRICT;
