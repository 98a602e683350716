-- How many rows each table above has, and the sum of their digests, which `archive` computes over all of a row's fields. It is
-- written with the rows themselves, so that none of them changes or goes unnoticed.
CREATE TABLE tally (
    -- The table.
    what TEXT NOT NULL,
    -- The track, sealed file or run that the rows are of; 0 where they are of none.
    owner INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    -- Modulo 2^64.
    sum INTEGER NOT NULL,
    PRIMARY KEY (what, owner)
) STRICT, WITHOUT ROWID;
