-- Whom a message mentions and what it is about, and the messages that mention a user.

-- Adding columns rewrites no row. The check makes SQLite look at every row once, which it does for each check that comes
-- with a column: seconds for ten million rows, in which the process that opens the file is not ready.
ALTER TABLE events ADD COLUMN mentions TEXT;
ALTER TABLE events ADD COLUMN entity_kind TEXT;
ALTER TABLE events ADD COLUMN entity_id TEXT CHECK ((entity_kind IS NULL) = (entity_id IS NULL));

-- Follows from the events, once they are stored. The team comes before the time: a user reads those of the own teams,
-- however many there are in others, where anyone may mention anyone.
CREATE TABLE mentions (
    user_id TEXT    NOT NULL,
    team_id TEXT    NOT NULL,
    time_ms INTEGER NOT NULL,
    seq     INTEGER NOT NULL CHECK (seq > 0),
    PRIMARY KEY (user_id, team_id, time_ms, seq)
) STRICT, WITHOUT ROWID;
