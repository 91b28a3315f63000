-- Appending inserts first, and looks for duplicates where the unique key objects.
--
-- To look for each message in the index of duplicates, and then to find its place in the same index again when it is
-- inserted, was a fifth of what an append cost; and that the messages of one call are no twins needs no sorting by their keys
-- either, when the unique key says so. docs/decisions/0008-appending-inserts-first.md.

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
--   4. Who inserts first misses no duplicate either: the unique key sees every row that is committed, and those of this
--      call. What it objects to is undone, all of it, and numbered again.
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
    -- So many calls of this connection, this one included, look for duplicates first.
    v_wary int := coalesce(nullif(current_setting('parley.wary_calls', true), ''), '0');
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
    IF v_wary > 0 THEN
        PERFORM set_config('parley.wary_calls', (v_wary - 1)::text, false);
    ELSE
        BEGIN
            INSERT INTO messages (room_id, id, created_at, dedup_key, sender, session, client_id, body)
            SELECT v_ids[n.room], v_heads[n.room] + n.number, v_now,
                parley_dedup_key(
                    p_senders[n.place], p_sessions[n.place], p_client_ids[n.place], p_bodies[n.place]),
                p_senders[n.place], p_sessions[n.place], p_client_ids[n.place], p_bodies[n.place]
            FROM (
                SELECT u.place::int AS place, u.room, row_number() OVER (PARTITION BY u.room ORDER BY u.place) AS number
                FROM unnest(p_room_of) WITH ORDINALITY u (room, place)
                WHERE v_ids[u.room] IS NOT NULL) n;
            RETURN QUERY
            SELECT u.place::int, v_heads[u.room] + row_number() OVER (PARTITION BY u.room ORDER BY u.place), v_now, false,
                NULL::text, v_epochs[u.room], v_heads[u.room] + count(*) OVER (PARTITION BY u.room)
            FROM unnest(p_room_of) WITH ORDINALITY u (room, place)
            WHERE v_ids[u.room] IS NOT NULL;
            RETURN;
        EXCEPTION WHEN unique_violation THEN
            PERFORM set_config('parley.wary_calls', '64', false);
        END;
    END IF;

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
