-- Senders may have 64 characters: those whom a token names are often called by a UUID, which has 36.

-- What is stored has kept a stricter rule: nothing of it needs to be read again.
ALTER TABLE messages DROP CONSTRAINT messages_sender_check;
ALTER TABLE messages ADD CONSTRAINT messages_sender_check
    CHECK (char_length(sender) BETWEEN 1 AND 64 AND octet_length(sender) <= 128) NOT VALID;

-- As in 0007_publish.sql, but for the sender.
CREATE OR REPLACE FUNCTION parley_publish(p_room text, p_sender text, p_body text, p_client_id text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
DECLARE
    v_id bigint;
    v_is_duplicate boolean;
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
