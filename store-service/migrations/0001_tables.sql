-- The tables. A room is a log: its messages have the ids 1, 2, 3, … without holes, in commit order, and head is the
-- newest. Reading history is plain SQL:
--
--     SELECT m.id, m.created_at, m.sender, m.body
--     FROM messages m JOIN rooms r ON r.id = m.room_id
--     WHERE r.name = 'lobby' ORDER BY m.id;
--
-- Written only through the functions of the later files.

-- The lives of this database, oldest first; the newest is the current one. Ids of messages can only be compared within
-- one epoch: a backup that was restored gives the same ids to other messages.
CREATE TABLE epochs (
    epoch bigint PRIMARY KEY,
    -- Which Postgres it began on: "<system identifier>/<timeline>".
    identity text NOT NULL,
    reason text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE rooms (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE CHECK (octet_length(name) BETWEEN 1 AND 64),
    epoch bigint NOT NULL,
    -- Ids come from here and never from a sequence, which would leave holes and let ids become visible out of order.
    head bigint NOT NULL DEFAULT 0 CHECK (head >= 0)
) WITH (fillfactor = 60); -- head is updated with every batch: room for that on the row's own page

-- At which id each epoch of a room began.
CREATE TABLE room_epochs (
    room_id bigint NOT NULL,
    epoch bigint NOT NULL,
    first_id bigint NOT NULL CHECK (first_id >= 1),
    PRIMARY KEY (room_id, epoch)
);

-- room_id has no foreign key: only parley_append() inserts, holding the lock of the room's row, and the check of a
-- foreign key for each row is a good part of what an insert costs.
CREATE TABLE messages (
    room_id bigint NOT NULL,
    id bigint NOT NULL CHECK (id >= 1),
    created_at timestamptz NOT NULL, -- whole milliseconds
    dedup_key bytea NOT NULL,        -- parley_dedup_key()
    sender text NOT NULL CHECK (char_length(sender) BETWEEN 1 AND 32),
    session text NOT NULL CHECK (octet_length(session) <= 128),
    client_id text NOT NULL CHECK (octet_length(client_id) BETWEEN 1 AND 64),
    body text NOT NULL CHECK (octet_length(body) <= 65536),
    PRIMARY KEY (room_id, id),
    UNIQUE (room_id, dedup_key)
);
