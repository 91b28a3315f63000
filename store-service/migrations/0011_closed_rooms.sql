-- Rooms that take no more messages, until they are opened again. What is stored stays, and can be read.

ALTER TABLE room_rows ADD COLUMN is_closed boolean NOT NULL DEFAULT false;

-- As in 0006_insert_first.sql, but for closed rooms: what was stored there before is found, as ever, so that whoever asks again
-- learns its id; what is new has the id 0, and is not stored.
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
    v_closed boolean[];
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
        SELECT array_agg(l.id ORDER BY n.place), array_agg(l.floor ORDER BY n.place), array_agg(l.epoch ORDER BY n.place),
            array_agg(l.is_closed ORDER BY n.place)
        INTO v_ids, v_floors, v_epochs, v_closed
        FROM (SELECT * FROM unnest(p_rooms) WITH ORDINALITY u (name, place) ORDER BY u.name COLLATE "C") n
        LEFT JOIN LATERAL (
            SELECT r.id, r.floor, r.epoch, r.is_closed FROM room_rows r WHERE r.name = n.name FOR UPDATE) l ON true;
    ELSE
        SELECT array_agg(l.id ORDER BY n.place), array_agg(l.floor ORDER BY n.place), array_agg(l.epoch ORDER BY n.place),
            array_agg(l.is_closed ORDER BY n.place)
        INTO v_ids, v_floors, v_epochs, v_closed
        FROM (SELECT * FROM unnest(p_rooms) WITH ORDINALITY u (name, place) ORDER BY u.name COLLATE "C") n
        LEFT JOIN LATERAL (
            SELECT r.id, r.floor, r.epoch, r.is_closed FROM room_rows r WHERE r.name = n.name FOR UPDATE SKIP LOCKED) l ON true;
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
    ELSIF NOT coalesce(true = ANY (v_closed), false) THEN
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
            m.id IS NULL AND NOT v_closed[i.room] AND row_number() OVER (PARTITION BY i.room, i.dedup_key ORDER BY i.place) = 1 AS is_new
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
        SELECT n.*, CASE WHEN v_closed[n.room] THEN coalesce(n.found_id, 0)
            ELSE coalesce(n.found_id, first_value(n.next_id) OVER (PARTITION BY n.room, n.dedup_key ORDER BY n.place)) END AS id
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

-- What parley_publish() does, with what came of it: the id, 0 where the room is closed; and whether it is a duplicate.
CREATE FUNCTION parley_say(p_room text, p_sender text, p_body text, p_client_id text, p_session text,
    OUT r_id bigint, OUT r_duplicate boolean)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF p_room IS NULL OR p_room !~ '^[A-Za-z0-9][A-Za-z0-9_.~-]{0,63}$' THEN
        RAISE EXCEPTION 'no room can be called %: a name is of A-Z, a-z, 0-9 and _ . ~ -, begins with a letter or digit and has at most 64 characters',
            quote_nullable(p_room) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_sender IS NULL OR char_length(p_sender) NOT BETWEEN 1 AND 64 OR octet_length(p_sender) > 128
        OR p_sender ~ '[[:cntrl:]]' THEN
        RAISE EXCEPTION 'a sender has 1 to 64 characters of at most 128 bytes, and no control characters'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_body IS NULL OR octet_length(p_body) NOT BETWEEN 1 AND 65536 THEN
        RAISE EXCEPTION 'a message has 1 to 65536 bytes' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF octet_length(p_client_id) NOT BETWEEN 1 AND 64 THEN
        RAISE EXCEPTION 'a client id has 1 to 64 bytes' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    SELECT a.r_id, a.r_duplicate INTO r_id, r_duplicate
    FROM parley_append(ARRAY[p_room], ARRAY[1], ARRAY[p_sender], ARRAY[p_session],
        ARRAY[coalesce(p_client_id, gen_random_uuid()::text)], ARRAY[p_body], true) a;
    IF r_id > 0 AND NOT r_duplicate THEN
        INSERT INTO unannounced (room_id, id) SELECT r.id, parley_say.r_id FROM room_rows r WHERE r.name = p_room;
        NOTIFY parley_unannounced;
    END IF;
END
$$;

-- As in 0007_publish.sql; a closed room is an error.
CREATE OR REPLACE FUNCTION parley_publish(p_room text, p_sender text, p_body text, p_client_id text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
DECLARE
    v_id bigint;
BEGIN
    -- The session is this transaction: a short client id counts within it only.
    SELECT s.r_id INTO v_id
    FROM parley_say(p_room, p_sender, p_body, p_client_id, 'sql.' || pg_current_xact_id()) s;
    IF v_id = 0 THEN
        RAISE EXCEPTION 'the room % is closed for writing', quote_literal(p_room)
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN v_id;
END
$$;

-- Its tables are those of its own schema, whatever the caller's search_path says.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION parley_publish(text, text, text, text) SET search_path = pg_catalog, %I, pg_temp',
        current_schema());
END
$$;
