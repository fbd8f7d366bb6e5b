-- Stretches of positions that were missing from the log when it was carried into the store.

CREATE TABLE log_gaps (
    partition  integer     NOT NULL,
    after_seq  bigint      NOT NULL CHECK (after_seq >= 0),
    before_seq bigint      NOT NULL CHECK (before_seq > after_seq),
    found_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (partition, after_seq, before_seq)
);
