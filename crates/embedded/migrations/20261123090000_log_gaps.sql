-- Stretches of positions that were missing from the log when they became stored.

CREATE TABLE log_gaps (
    partition   INTEGER NOT NULL,
    after_seq   INTEGER NOT NULL CHECK (after_seq >= 0),
    before_seq  INTEGER NOT NULL CHECK (before_seq > after_seq),
    found_at_ms INTEGER NOT NULL,
    PRIMARY KEY (partition, after_seq, before_seq)
) STRICT, WITHOUT ROWID;
