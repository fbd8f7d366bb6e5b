-- The projection of the log: every event as a row, what follows from them about teams and members, and how far it goes.
--
-- Ids are ordered by bytes (COLLATE "C"), as they are everywhere else in Huddle: pages of ids follow that order.
-- There are no foreign keys: the log decides what happened, and an event about a team that is not known is kept, too.

CREATE TABLE events (
    team_id     text COLLATE "C" NOT NULL,
    seq         bigint           NOT NULL,
    time_ms     bigint           NOT NULL,
    sender_id   text COLLATE "C" NOT NULL,
    client_id   text COLLATE "C" NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    body        text,
    member_id   text COLLATE "C",
    member_role text COLLATE "C",
    name        text,
    CONSTRAINT events_pkey PRIMARY KEY (team_id, seq),
    CONSTRAINT events_happen_once UNIQUE (team_id, sender_id, client_id),
    CONSTRAINT events_seq_positive CHECK (seq > 0),
    CONSTRAINT events_member_role_known CHECK (member_role IN ('member', 'admin', 'owner')),
    CONSTRAINT events_complete CHECK (CASE kind
        WHEN 'posted'              THEN body IS NOT NULL
        WHEN 'team_created'        THEN member_id IS NOT NULL AND name IS NOT NULL
        WHEN 'team_renamed'        THEN name IS NOT NULL
        WHEN 'team_archived'       THEN true
        WHEN 'member_added'        THEN member_id IS NOT NULL AND member_role IS NOT NULL
        WHEN 'member_removed'      THEN member_id IS NOT NULL
        WHEN 'member_role_changed' THEN member_id IS NOT NULL AND member_role IS NOT NULL
        ELSE false
    END)
) PARTITION BY HASH (team_id);

DO $$
BEGIN
    FOR remainder IN 0..15 LOOP
        EXECUTE format(
            'CREATE TABLE events_%s PARTITION OF events FOR VALUES WITH (MODULUS 16, REMAINDER %s)',
            remainder, remainder);
    END LOOP;
END
$$;

-- A page of messages costs the same however many events of other kinds lie between them.
CREATE INDEX events_messages ON events (team_id, seq) WHERE kind = 'posted';

CREATE TABLE teams (
    team_id         text COLLATE "C" NOT NULL PRIMARY KEY,
    name            text             NOT NULL,
    archived        boolean          NOT NULL DEFAULT false,
    created_seq     bigint           NOT NULL CHECK (created_seq > 0),
    created_time_ms bigint           NOT NULL
);

CREATE TABLE members (
    team_id   text COLLATE "C" NOT NULL,
    user_id   text COLLATE "C" NOT NULL,
    role      text COLLATE "C" NOT NULL CHECK (role IN ('member', 'admin', 'owner')),
    since_seq bigint           NOT NULL CHECK (since_seq > 0),
    PRIMARY KEY (team_id, user_id)
);

CREATE INDEX members_by_user ON members (user_id, team_id);

-- Positions of different partitions cannot be compared, so the newest name is told by the log's time.
CREATE TABLE users (
    user_id       text COLLATE "C" NOT NULL PRIMARY KEY,
    name          text             NOT NULL,
    named_time_ms bigint           NOT NULL
);

-- One row per partition of the log; moved by each batch in the transaction that inserts its rows.
CREATE TABLE log_progress (
    partition  integer     NOT NULL PRIMARY KEY CHECK (partition >= 0),
    seq        bigint      NOT NULL CHECK (seq >= 0),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE dead_letters (
    partition   integer          NOT NULL,
    seq         bigint           NOT NULL,
    time_ms     bigint           NOT NULL,
    team_id     text COLLATE "C",
    reason      text COLLATE "C" NOT NULL,
    detail      text             NOT NULL,
    payload     bytea            NOT NULL,
    recorded_at timestamptz      NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (partition, seq)
);
