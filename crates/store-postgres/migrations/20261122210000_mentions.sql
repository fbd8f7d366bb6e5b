-- Whom a message mentions and what it is about, and the messages that mention a user.

-- One statement that adds columns without a value rewrites no row, and checks that hold for such rows by themselves need
-- no look at them.
ALTER TABLE events
    ADD COLUMN mentions    text[] COLLATE "C",
    ADD COLUMN entity_kind text COLLATE "C",
    ADD COLUMN entity_id   text COLLATE "C",
    ADD CONSTRAINT events_entity_complete CHECK ((entity_kind IS NULL) = (entity_id IS NULL)) NOT VALID;

-- Follows from the events. The team comes before the time: a user reads those of the own teams, however many there are in
-- others, where anyone may mention anyone.
CREATE TABLE mentions (
    user_id text COLLATE "C" NOT NULL,
    team_id text COLLATE "C" NOT NULL,
    time_ms bigint           NOT NULL,
    seq     bigint           NOT NULL CHECK (seq > 0),
    PRIMARY KEY (user_id, team_id, time_ms, seq)
);
