-- Saying something in a room from SQL, in a transaction of one's own.

-- Messages that no gateway was told of yet, because no store-service appended them. Whoever takes a row tells the room and
-- deletes it, in one transaction: what dies in between is told by another one.
CREATE TABLE unannounced (
    room_id bigint NOT NULL,
    id bigint NOT NULL,
    PRIMARY KEY (room_id, id)
);

-- Stores a message in the caller's transaction; those in the room see it within a second of the commit. Returns its id, or
-- that of the first where the same was said before: by the same sender, with the same client id (of 16 bytes or more).
--
-- p_client_id  NULL: one is made, and the message is never a duplicate.
--
-- From here to the end of the caller's transaction nobody else can append to the room: keep it short. The isolation level
-- must be READ COMMITTED. A role needs EXECUTE on this function, and no right to any table:
--
--     GRANT EXECUTE ON FUNCTION parley_publish(text, text, text, text) TO shop;
--     SELECT parley_publish('orders', 'shop', 'Order 4711 was paid.');
CREATE FUNCTION parley_publish(p_room text, p_sender text, p_body text, p_client_id text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
DECLARE
    v_id bigint;
    v_is_duplicate boolean;
BEGIN
    IF p_room IS NULL OR p_room !~ '^[A-Za-z0-9][A-Za-z0-9_.~-]{0,63}$' THEN
        RAISE EXCEPTION 'no room can be called %: a name is of A-Z, a-z, 0-9 and _ . ~ -, begins with a letter or digit and has at most 64 characters',
            quote_nullable(p_room) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_sender IS NULL OR char_length(p_sender) NOT BETWEEN 1 AND 32 OR p_sender ~ '[[:cntrl:]]' THEN
        RAISE EXCEPTION 'a sender has 1 to 32 characters, and no control characters' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_body IS NULL OR octet_length(p_body) NOT BETWEEN 1 AND 65536 THEN
        RAISE EXCEPTION 'a message has 1 to 65536 bytes' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF octet_length(p_client_id) NOT BETWEEN 1 AND 64 THEN
        RAISE EXCEPTION 'a client id has 1 to 64 bytes' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    -- The session is this transaction: a short client id counts within it only.
    SELECT a.r_id, a.r_duplicate INTO v_id, v_is_duplicate
    FROM parley_append(ARRAY[p_room], ARRAY[1], ARRAY[p_sender], ARRAY['sql.' || pg_current_xact_id()],
        ARRAY[coalesce(p_client_id, gen_random_uuid()::text)], ARRAY[p_body], true) a;
    IF NOT v_is_duplicate THEN
        INSERT INTO unannounced (room_id, id) SELECT r.id, v_id FROM room_rows r WHERE r.name = p_room;
        NOTIFY parley_unannounced;
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

REVOKE ALL ON FUNCTION parley_publish(text, text, text, text) FROM PUBLIC;
