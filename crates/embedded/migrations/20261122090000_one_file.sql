-- The log and the projection in one file: an event is one row, which the log appends and the projection reads.
--
-- A row is part of the log from its commit on, and part of the store once log_progress has reached its position. Texts are
-- compared byte by byte (the default collation, BINARY), as ids are everywhere in Huddle. Rows are kept in the order in
-- which they came: a group commit writes few pages.

CREATE TABLE events (
    team_id     TEXT    NOT NULL,
    seq         INTEGER NOT NULL CHECK (seq > 0),
    partition   INTEGER NOT NULL CHECK (partition >= 0),
    time_ms     INTEGER NOT NULL,
    sender_id   TEXT    NOT NULL,
    client_id   TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    body        TEXT,
    member_id   TEXT,
    member_role TEXT    CHECK (member_role IN ('member', 'admin', 'owner')),
    name        TEXT,
    UNIQUE (team_id, seq),
    -- At most once, for good. Clients' ids before senders: the ids of Huddle's own client begin with the time, so that
    -- what comes at once in a team lies on one page, whoever sends it.
    UNIQUE (team_id, client_id, sender_id),
    CHECK (CASE kind
        WHEN 'posted'              THEN body IS NOT NULL
        WHEN 'team_created'        THEN member_id IS NOT NULL AND name IS NOT NULL
        WHEN 'team_renamed'        THEN name IS NOT NULL
        WHEN 'team_archived'       THEN true
        WHEN 'member_added'        THEN member_id IS NOT NULL AND member_role IS NOT NULL
        WHEN 'member_removed'      THEN member_id IS NOT NULL
        WHEN 'member_role_changed' THEN member_id IS NOT NULL AND member_role IS NOT NULL
        ELSE false
    END)
) STRICT;

-- The log: what comes after a position. Not unique: imported events of several partitions may share positions.
CREATE INDEX events_in_order ON events (partition, seq);

-- A page of messages costs the same however many events of other kinds lie between them.
CREATE INDEX events_messages ON events (team_id, seq) WHERE kind = 'posted';

-- The partitions that are prepared. Positions that they assign lie above the floor.
CREATE TABLE log_partitions (
    partition INTEGER NOT NULL PRIMARY KEY CHECK (partition >= 0),
    floor_seq INTEGER NOT NULL CHECK (floor_seq >= 0)
) STRICT;

-- How many partitions the log was created with: one row.
CREATE TABLE log_shape (
    one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    partitions INTEGER NOT NULL CHECK (partitions > 0)
) STRICT;

-- How far each partition is stored; moved by each batch in the transaction that applies it.
CREATE TABLE log_progress (
    partition INTEGER NOT NULL PRIMARY KEY CHECK (partition >= 0),
    seq       INTEGER NOT NULL CHECK (seq >= 0)
) STRICT;

CREATE TABLE teams (
    team_id         TEXT    NOT NULL PRIMARY KEY,
    name            TEXT    NOT NULL,
    archived        INTEGER NOT NULL DEFAULT 0 CHECK (archived IN (0, 1)),
    created_seq     INTEGER NOT NULL CHECK (created_seq > 0),
    created_time_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE members (
    team_id   TEXT    NOT NULL,
    user_id   TEXT    NOT NULL,
    role      TEXT    NOT NULL CHECK (role IN ('member', 'admin', 'owner')),
    since_seq INTEGER NOT NULL CHECK (since_seq > 0),
    PRIMARY KEY (team_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX members_by_user ON members (user_id, team_id);

-- Positions of different partitions cannot be compared, so the newest name is told by the log's time.
CREATE TABLE users (
    user_id       TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    named_time_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letters (
    partition INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    time_ms   INTEGER NOT NULL,
    team_id   TEXT,
    reason    TEXT    NOT NULL,
    detail    TEXT    NOT NULL,
    payload   BLOB    NOT NULL,
    PRIMARY KEY (partition, seq)
) STRICT, WITHOUT ROWID;
