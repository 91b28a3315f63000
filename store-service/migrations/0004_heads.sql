-- Heads are read from the messages, so that appending makes no dead rows.
--
-- head was a column that each batch updated. While a transaction holds a snapshot (pg_dump, --check), Postgres can remove
-- none of the old versions of such a row, and whoever looks it up walks over all of them: appending got slower by the
-- minute. Now nothing of a room's row changes with its messages; the newest id is one step into their primary key.
-- docs/decisions/0006-heads-are-read-from-the-messages.md
--
-- For whoever reads, rooms is what it was. Programs of before use it, and the functions, as ever.

-- Beside a transaction that has read rooms and goes on, as pg_dump does, this gives up at once, to be tried again: nobody
-- who appends shall queue behind it.
SET LOCAL lock_timeout = '300ms';

ALTER TABLE rooms RENAME TO room_rows;
ALTER TABLE room_rows RESET (fillfactor);
-- All ids up to here were given; those of messages that still exist count by themselves.
ALTER TABLE room_rows RENAME COLUMN head TO floor;

CREATE VIEW rooms AS
SELECT r.id, r.name, r.epoch,
    coalesce((SELECT m.id FROM messages m WHERE m.room_id = r.id AND m.id > r.floor ORDER BY m.id DESC LIMIT 1), r.floor)
        AS head
FROM room_rows r;

-- Who was allowed to read rooms still is.
DO $$
DECLARE
    v_reader text;
BEGIN
    FOR v_reader IN
        SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'room_rows'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT SELECT ON rooms TO %s', v_reader);
    END LOOP;
END
$$;

-- By hand, head can be raised: ids then go on behind it.
CREATE FUNCTION parley_on_room_update() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.head < OLD.head THEN
        RAISE EXCEPTION 'the head of room % cannot go back: ids up to % were given', OLD.name, OLD.head;
    END IF;
    UPDATE room_rows SET name = NEW.name, epoch = NEW.epoch, floor = NEW.head WHERE id = OLD.id;
    RETURN NEW;
END
$$;

CREATE TRIGGER on_update INSTEAD OF UPDATE ON rooms FOR EACH ROW EXECUTE FUNCTION parley_on_room_update();

-- An id whose message was deleted is never given again.
CREATE FUNCTION parley_on_messages_deleted() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    -- Where a later message stays, it speaks for the head, and the room's row is left alone.
    UPDATE room_rows r SET floor = d.newest
    FROM (SELECT room_id, max(id) AS newest FROM deleted GROUP BY room_id) d
    WHERE r.id = d.room_id AND r.floor < d.newest
        AND NOT EXISTS (SELECT FROM messages m WHERE m.room_id = d.room_id AND m.id > d.newest);
    RETURN NULL;
END
$$;

CREATE FUNCTION parley_on_messages_truncate() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE room_rows r SET floor = v.head FROM rooms v WHERE v.id = r.id AND v.head > r.floor;
    RETURN NULL;
END
$$;

CREATE TRIGGER on_delete AFTER DELETE ON messages REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION parley_on_messages_deleted();
CREATE TRIGGER on_truncate BEFORE TRUNCATE ON messages
    FOR EACH STATEMENT EXECUTE FUNCTION parley_on_messages_truncate();

-- As in 0002; but a room's head must be read behind the lock of its row.
CREATE OR REPLACE FUNCTION parley_ensure_epoch(p_forced boolean) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_identity text := parley_database_identity();
    v_recorded text;
    v_epoch bigint;
    v_reason text;
BEGIN
    SELECT identity INTO v_recorded FROM epochs ORDER BY epoch DESC LIMIT 1;
    IF v_recorded = v_identity AND NOT p_forced THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(parley_epoch_lock());
    -- Again, now that nobody else begins one: this statement's snapshot is newer than the lock.
    SELECT identity, epoch INTO v_recorded, v_epoch FROM epochs ORDER BY epoch DESC LIMIT 1;
    IF v_recorded = v_identity AND NOT p_forced THEN
        RETURN NULL;
    END IF;
    v_reason := CASE
        WHEN v_epoch IS NULL THEN 'the database is new'
        WHEN p_forced THEN 'asked for'
        ELSE 'Postgres was ' || v_recorded || ' and is ' || v_identity
    END;
    v_epoch := greatest(v_epoch + 1, (SELECT max(epoch) + 1 FROM room_rows),
        extract(epoch FROM clock_timestamp())::bigint);
    INSERT INTO epochs (epoch, identity, reason) VALUES (v_epoch, v_identity, v_reason);
    -- This waits for all who append, and locks every room: what the next statement sees as heads are the heads.
    UPDATE room_rows SET epoch = v_epoch;
    INSERT INTO room_epochs (room_id, epoch, first_id) SELECT r.id, v_epoch, r.head + 1 FROM rooms r;
    RETURN v_reason;
END
$$;

-- Appends messages to rooms, all in the caller's transaction.
--
-- p_rooms     names, each once
-- p_room_of   for each message the place of its room in p_rooms, from 1 on; and so on, one element for each message
-- p_wait      false: a room whose row is locked by someone else is skipped, none of its messages are in the result
--
-- Returns for each message its place (from 1 on), its id and time; whether it is a duplicate, and then, where the first
-- one was stored before this call, that one's session; epoch and head of its room.
--
-- Why it is right with any number of callers at a time, under READ COMMITTED, where each statement below has a snapshot
-- of its own:
--   1. A room's row is made before it is locked. Who loses the race to make it waits for the other's commit
--      (ON CONFLICT), so that the next statement sees the row.
--   2. Rows are locked in the order of their names; only one row is ever waited for (p_wait comes with one room), by
--      who holds no other: no deadlock. What the lock returns is the row's newest version, not the snapshot's.
--   3. The lock is held until commit, and whoever held it before has committed: the snapshots of the statements behind it
--      are newer than the lock, and see every message of the room. So no duplicate is missed, the newest message is the
--      newest, and head + 1 is free.
CREATE OR REPLACE FUNCTION parley_append(
    p_rooms text[], p_room_of int[], p_senders text[], p_sessions text[], p_client_ids text[], p_bodies text[],
    p_wait boolean)
RETURNS TABLE (r_place int, r_id bigint, r_at timestamptz, r_duplicate boolean, r_session text, r_epoch bigint,
    r_head bigint)
LANGUAGE plpgsql VOLATILE
-- The plans must not depend on how large the tables were when they were made.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_ids bigint[];
    v_floors bigint[];
    v_heads bigint[];
    v_epochs bigint[];
    v_now timestamptz;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'parley_append() needs the isolation level READ COMMITTED';
    END IF;

    IF EXISTS (SELECT FROM unnest(p_rooms) n (name) WHERE NOT EXISTS (SELECT FROM room_rows r WHERE r.name = n.name)) THEN
        PERFORM pg_advisory_xact_lock_shared(parley_epoch_lock());
        WITH made AS (
            INSERT INTO room_rows (name, epoch)
            SELECT n.name, (SELECT max(e.epoch) FROM epochs e)
            FROM unnest(p_rooms) n (name)
            WHERE NOT EXISTS (SELECT FROM room_rows r WHERE r.name = n.name)
            ORDER BY n.name COLLATE "C"
            ON CONFLICT (name) DO NOTHING
            RETURNING id, epoch)
        INSERT INTO room_epochs (room_id, epoch, first_id) SELECT made.id, made.epoch, 1 FROM made;
    END IF;

    IF p_wait THEN
        SELECT array_agg(l.id ORDER BY n.place), array_agg(l.floor ORDER BY n.place), array_agg(l.epoch ORDER BY n.place)
        INTO v_ids, v_floors, v_epochs
        FROM (SELECT * FROM unnest(p_rooms) WITH ORDINALITY u (name, place) ORDER BY u.name COLLATE "C") n
        LEFT JOIN LATERAL (
            SELECT r.id, r.floor, r.epoch FROM room_rows r WHERE r.name = n.name FOR UPDATE) l ON true;
    ELSE
        SELECT array_agg(l.id ORDER BY n.place), array_agg(l.floor ORDER BY n.place), array_agg(l.epoch ORDER BY n.place)
        INTO v_ids, v_floors, v_epochs
        FROM (SELECT * FROM unnest(p_rooms) WITH ORDINALITY u (name, place) ORDER BY u.name COLLATE "C") n
        LEFT JOIN LATERAL (
            SELECT r.id, r.floor, r.epoch FROM room_rows r WHERE r.name = n.name FOR UPDATE SKIP LOCKED) l ON true;
    END IF;

    -- As in the view rooms.
    SELECT array_agg(coalesce((
            SELECT m.id FROM messages m WHERE m.room_id = l.id AND m.id > l.floor ORDER BY m.id DESC LIMIT 1), l.floor)
        ORDER BY l.place)
    INTO v_heads
    FROM unnest(v_ids, v_floors) WITH ORDINALITY l (id, floor, place);

    v_now := date_trunc('milliseconds', clock_timestamp());
    RETURN QUERY
    WITH incoming AS MATERIALIZED (
        SELECT u.place::int AS place, u.room, v_ids[u.room] AS room_id,
            parley_dedup_key(
                p_senders[u.place], p_sessions[u.place], p_client_ids[u.place], p_bodies[u.place]) AS dedup_key
        FROM unnest(p_room_of) WITH ORDINALITY u (room, place)
        WHERE v_ids[u.room] IS NOT NULL),
    found AS MATERIALIZED (
        SELECT i.*, m.id AS found_id, m.created_at AS found_at, m.session AS found_session,
            m.id IS NULL AND row_number() OVER (PARTITION BY i.room, i.dedup_key ORDER BY i.place) = 1 AS is_new
        FROM incoming i
        LEFT JOIN LATERAL (
            SELECT s.id, s.created_at, s.session FROM messages s
            WHERE s.room_id = i.room_id AND s.dedup_key = i.dedup_key LIMIT 1) m ON true),
    numbered AS MATERIALIZED (
        SELECT f.*, v_heads[f.room] + count(*) FILTER (WHERE f.is_new) OVER (PARTITION BY f.room ORDER BY f.place)
            AS next_id
        FROM found f),
    -- A repeat inside this call has the id of the first of its kind.
    settled AS MATERIALIZED (
        SELECT n.*, coalesce(n.found_id, first_value(n.next_id) OVER (
            PARTITION BY n.room, n.dedup_key ORDER BY n.place)) AS id
        FROM numbered n),
    stored AS (
        INSERT INTO messages (room_id, id, created_at, dedup_key, sender, session, client_id, body)
        SELECT s.room_id, s.id, v_now, s.dedup_key,
            p_senders[s.place], p_sessions[s.place], p_client_ids[s.place], p_bodies[s.place]
        FROM settled s WHERE s.is_new ORDER BY s.room_id, s.id)
    SELECT s.place, s.id, coalesce(s.found_at, v_now), NOT s.is_new, s.found_session, v_epochs[s.room],
        greatest(v_heads[s.room], max(s.id) FILTER (WHERE s.is_new) OVER (PARTITION BY s.room))
    FROM settled s;
END
$$;

SET LOCAL lock_timeout = 0;
