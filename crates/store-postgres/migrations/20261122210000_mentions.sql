-- Whom a message mentions and what it is about, and the messages that mention a user.

-- One statement that adds columns without a value rewrites no row, and checks that hold for such rows by themselves need
-- no look at them.
ALTER TABLE events
    ADD COLUMN mentions    text[] COLLATE "C",
    ADD COLUMN entity_kind text COLLATE "C",
    ADD COLUMN entity_id   text COLLATE "C",
    ADD CONSTRAINT events_entity_complete CHECK ((entity_kind IS NULL) = (entity_id IS NULL)) NOT VALID;

-- Follows from the events. The key is the order in which a user reads them.
CREATE TABLE mentions (
    user_id text COLLATE "C" NOT NULL,
    time_ms bigint           NOT NULL,
    team_id text COLLATE "C" NOT NULL,
    seq     bigint           NOT NULL CHECK (seq > 0),
    PRIMARY KEY (user_id, time_ms, team_id, seq)
);
