-- Whom a message mentions and what it is about, and the messages that mention a user.

ALTER TABLE events ADD COLUMN mentions TEXT;
ALTER TABLE events ADD COLUMN entity_kind TEXT;
ALTER TABLE events ADD COLUMN entity_id TEXT CHECK ((entity_kind IS NULL) = (entity_id IS NULL));

-- Follows from the events, once they are stored. The key is the order in which a user reads them.
CREATE TABLE mentions (
    user_id TEXT    NOT NULL,
    time_ms INTEGER NOT NULL,
    team_id TEXT    NOT NULL,
    seq     INTEGER NOT NULL CHECK (seq > 0),
    PRIMARY KEY (user_id, time_ms, team_id, seq)
) STRICT, WITHOUT ROWID;
