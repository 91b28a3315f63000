-- Appending to rooms.

-- What makes a message the same as another one of its room: sender, client id and body; and, where the client id is so
-- short or of such a form that clients choose the same one by accident, the session too. Lengths go in front, so that
-- no two lists of fields look alike. The only place where this rule is written.
--
-- STABLE, not STRICT: only so does the planner put it into the statement that calls it.
CREATE FUNCTION parley_dedup_key(p_sender text, p_session text, p_client_id text, p_body text) RETURNS bytea
LANGUAGE sql STABLE AS $$
    SELECT substring(
        sha256(
            int4send(octet_length(p_sender)) || convert_to(p_sender, 'UTF8')
            || int4send(octet_length(p_client_id)) || convert_to(p_client_id, 'UTF8')
            || CASE
                WHEN octet_length(p_client_id) < 16 OR starts_with(p_client_id, 'undefined-')
                THEN int4send(octet_length(p_session)) || convert_to(p_session, 'UTF8')
                ELSE int4send(-1)
            END
            || convert_to(p_body, 'UTF8'))
        FOR 16)
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
--   3. The lock is held until commit, and whoever held it before has committed: the last statement's snapshot is newer
--      than the lock, and sees every message of the room. So no duplicate is missed, and head + 1 is free.
CREATE FUNCTION parley_append(
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
    v_heads bigint[];
    v_epochs bigint[];
    v_now timestamptz;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'parley_append() needs the isolation level READ COMMITTED';
    END IF;

    IF EXISTS (SELECT FROM unnest(p_rooms) n (name) WHERE NOT EXISTS (SELECT FROM rooms r WHERE r.name = n.name)) THEN
        PERFORM pg_advisory_xact_lock_shared(parley_epoch_lock());
        WITH made AS (
            INSERT INTO rooms (name, epoch)
            SELECT n.name, (SELECT max(e.epoch) FROM epochs e)
            FROM unnest(p_rooms) n (name)
            WHERE NOT EXISTS (SELECT FROM rooms r WHERE r.name = n.name)
            ORDER BY n.name COLLATE "C"
            ON CONFLICT (name) DO NOTHING
            RETURNING id, epoch)
        INSERT INTO room_epochs (room_id, epoch, first_id) SELECT made.id, made.epoch, 1 FROM made;
    END IF;

    IF p_wait THEN
        SELECT array_agg(l.id ORDER BY n.place), array_agg(l.head ORDER BY n.place), array_agg(l.epoch ORDER BY n.place)
        INTO v_ids, v_heads, v_epochs
        FROM (SELECT * FROM unnest(p_rooms) WITH ORDINALITY u (name, place) ORDER BY u.name COLLATE "C") n
        LEFT JOIN LATERAL (
            SELECT r.id, r.head, r.epoch FROM rooms r WHERE r.name = n.name FOR UPDATE) l ON true;
    ELSE
        SELECT array_agg(l.id ORDER BY n.place), array_agg(l.head ORDER BY n.place), array_agg(l.epoch ORDER BY n.place)
        INTO v_ids, v_heads, v_epochs
        FROM (SELECT * FROM unnest(p_rooms) WITH ORDINALITY u (name, place) ORDER BY u.name COLLATE "C") n
        LEFT JOIN LATERAL (
            SELECT r.id, r.head, r.epoch FROM rooms r WHERE r.name = n.name FOR UPDATE SKIP LOCKED) l ON true;
    END IF;

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
        FROM settled s WHERE s.is_new ORDER BY s.room_id, s.id),
    moved AS (
        UPDATE rooms r SET head = t.head
        FROM (SELECT s.room_id, max(s.id) AS head FROM settled s WHERE s.is_new GROUP BY s.room_id) t
        WHERE r.id = t.room_id)
    SELECT s.place, s.id, coalesce(s.found_at, v_now), NOT s.is_new, s.found_session, v_epochs[s.room],
        greatest(v_heads[s.room], max(s.id) FILTER (WHERE s.is_new) OVER (PARTITION BY s.room))
    FROM settled s;
END
$$;
