-- The server API's calls, as far as they are about the database: what an application server asks the store-service's admin port for
-- (store-service/openapi.json).

-- Tokens that are no good any more: of a user, or one token, that were issued before a time. Gateways are told of them again and again
-- until nobody can have one.
CREATE TABLE revocations (
    kind text NOT NULL CHECK (kind IN ('user', 'token')),
    name text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 128),
    before timestamptz NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (kind, name)
);

-- A number in a URL's query; NULL where there is none.
CREATE FUNCTION parley_api_number(p_name text, p_text text, p_max bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF p_text = '' THEN
        RETURN NULL;
    END IF;
    IF p_text !~ '^[0-9]{1,18}$' OR p_text::bigint > p_max THEN
        RAISE EXCEPTION '% must be a whole number from 0 to %', p_name, p_max USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN p_text::bigint;
END
$$;

-- A text in a body; NULL where there is none.
CREATE FUNCTION parley_api_text(p_body jsonb, p_name text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF p_body -> p_name IS NULL OR jsonb_typeof(p_body -> p_name) = 'null' THEN
        RETURN NULL;
    END IF;
    IF jsonb_typeof(p_body -> p_name) <> 'string' THEN
        RAISE EXCEPTION '% must be a text', p_name USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN p_body ->> p_name;
END
$$;

-- The body of a call; its members may be those of p_names and no others, so that nothing is misspelt unnoticed.
CREATE FUNCTION parley_api_body(p_text text, p_names text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_body jsonb;
    v_strange text;
BEGIN
    BEGIN
        v_body := p_text::jsonb;
    EXCEPTION WHEN invalid_text_representation OR untranslatable_character OR program_limit_exceeded
        OR statement_too_complex THEN
        RAISE EXCEPTION 'the body is no JSON that can be stored' USING ERRCODE = 'invalid_parameter_value';
    END;
    IF jsonb_typeof(v_body) <> 'object' THEN
        RAISE EXCEPTION 'the body must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT k INTO v_strange FROM jsonb_object_keys(v_body) k WHERE k <> ALL (p_names) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the body has a member % that is not known here: it may have %', quote_literal(left(v_strange, 64)),
            array_to_string(p_names, ', ') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN v_body;
END
$$;

CREATE FUNCTION parley_api_error(p_code text, p_message text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT json_build_object('code', p_code, 'message', p_message)::text $$;

-- One call. Absent texts are ''. Returns an HTTP status and a body (JSON); for `rooms`, one row for each room behind that, each with
-- members of a JSON object; for `kick` and `revoke`, what gateways are to be told.
CREATE FUNCTION parley_api(p_call text, p_room text, p_after text, p_before text, p_limit text, p_body text)
RETURNS TABLE (r_status int, r_body text, r_room text, r_user text, r_session text, r_token text, r_before_ms bigint, r_until_ms bigint)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
#variable_conflict use_variable
DECLARE
    v_body jsonb;
    v_after bigint;
    v_before bigint;
    v_limit bigint;
    v_room_id bigint;
    v_head bigint;
    v_lowest bigint;
    v_highest bigint;
    v_first bigint;
    v_last bigint;
    v_count bigint;
    v_texts text;
    v_said record;
    v_message text;
BEGIN
    r_status := 200;
    r_body := ''; r_room := ''; r_user := ''; r_session := ''; r_token := ''; r_before_ms := 0; r_until_ms := 0;
    IF p_room <> '' AND p_room !~ '^[A-Za-z0-9][A-Za-z0-9_.~-]{0,63}$' THEN
        RAISE EXCEPTION 'no room can be called that: a name is of A-Z, a-z, 0-9 and _ . ~ -, begins with a letter or digit and has at most 64 characters'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    v_limit := coalesce(nullif(parley_api_number('limit', p_limit, 1000), 0), 100);

    IF p_call = 'rooms' THEN
        SELECT count(*) INTO v_count FROM (
            SELECT FROM room_rows r WHERE r.name COLLATE "C" > p_after ORDER BY r.name COLLATE "C" LIMIT v_limit + 1) n;
        r_body := '"more":' || (v_count > v_limit)::text;
        RETURN NEXT;
        FOR r_room, v_head, r_body IN
            SELECT r.name, r.head, '"name":' || to_json(r.name)::text || ',"head":"' || r.head || '","writable":' || (NOT w.is_closed)::text
            FROM rooms r JOIN room_rows w ON w.id = r.id
            WHERE r.name COLLATE "C" > p_after ORDER BY r.name COLLATE "C" LIMIT v_limit
        LOOP
            RETURN NEXT;
        END LOOP;
        RETURN;

    ELSIF p_call = 'messages' THEN
        v_after := parley_api_number('after', p_after, 9007199254740991);
        v_before := parley_api_number('before', p_before, 9007199254740991);
        IF v_after IS NOT NULL AND v_before IS NOT NULL THEN
            RAISE EXCEPTION 'after and before exclude each other' USING ERRCODE = 'invalid_parameter_value';
        END IF;
        SELECT r.id, r.head INTO v_room_id, v_head FROM rooms r WHERE r.name = p_room;
        IF NOT FOUND THEN
            r_status := 404;
            r_body := parley_api_error('not_found', 'nobody has ever said anything in a room of that name');
            RETURN NEXT;
            RETURN;
        END IF;
        -- Ids have no holes: a page is a stretch of them.
        IF v_after IS NULL THEN
            v_highest := least(coalesce(v_before, v_head + 1), v_head + 1);
            v_lowest := v_highest - 1 - v_limit;
        ELSE
            v_lowest := greatest(v_after, (SELECT min(m.id) - 1 FROM messages m WHERE m.room_id = v_room_id));
            v_highest := least(v_lowest + v_limit, v_head) + 1;
        END IF;
        -- At most 1 MiB of texts, and at least one message: in the direction that was asked for, the newest where none was.
        SELECT coalesce(string_agg(l.line, ',' ORDER BY l.id), ''), min(l.id), max(l.id) INTO v_texts, v_first, v_last
        FROM (
            SELECT p.id, p.line, sum(p.size) OVER (ORDER BY p.place) - p.size AS bytes_before
            FROM (
                SELECT m.id, octet_length(m.body) AS size, CASE WHEN v_after IS NULL THEN -m.id ELSE m.id END AS place,
                    json_build_object('id', m.id::text, 'username', m.sender, 'content', m.body,
                        'at', floor(extract(epoch FROM m.created_at) * 1000)::bigint, 'clientId', m.client_id)::text AS line
                FROM messages m
                WHERE m.room_id = v_room_id AND m.id > v_lowest AND m.id < v_highest) p) l
        WHERE l.bytes_before < 1048576;
        r_body := '{"messages":[' || v_texts || '],"head":"' || v_head || '","more":'
            || coalesce(EXISTS (SELECT FROM messages m WHERE m.room_id = v_room_id
                AND CASE WHEN v_after IS NULL THEN m.id < v_first ELSE m.id > v_last END), false)::text || '}';

    ELSIF p_call = 'say' THEN
        v_body := parley_api_body(p_body, ARRAY['sender', 'content', 'clientId']);
        SELECT * INTO v_said FROM parley_say(p_room, parley_api_text(v_body, 'sender'), parley_api_text(v_body, 'content'),
            parley_api_text(v_body, 'clientId'), 'api');
        IF v_said.r_id = 0 THEN
            r_status := 409;
            r_body := parley_api_error('closed', 'the room is closed for writing');
        ELSE
            r_status := CASE WHEN v_said.r_duplicate THEN 200 ELSE 201 END;
            r_body := json_build_object('id', v_said.r_id::text, 'duplicate', v_said.r_duplicate)::text;
        END IF;

    ELSIF p_call = 'change' THEN
        v_body := parley_api_body(p_body, ARRAY['writable']);
        IF v_body -> 'writable' IS NULL OR jsonb_typeof(v_body -> 'writable') <> 'boolean' THEN
            RAISE EXCEPTION 'writable must be true or false' USING ERRCODE = 'invalid_parameter_value';
        END IF;
        UPDATE room_rows w SET is_closed = NOT (v_body ->> 'writable')::boolean WHERE w.name = p_room;
        IF FOUND THEN
            r_body := json_build_object('name', p_room, 'writable', (v_body ->> 'writable')::boolean)::text;
        ELSE
            r_status := 404;
            r_body := parley_api_error('not_found', 'nobody has ever said anything in a room of that name');
        END IF;

    ELSIF p_call = 'kick' THEN
        v_body := parley_api_body(p_body, ARRAY['user', 'session', 'room']);
        r_user := coalesce(parley_api_text(v_body, 'user'), '');
        r_session := coalesce(parley_api_text(v_body, 'session'), '');
        r_room := coalesce(parley_api_text(v_body, 'room'), '');
        IF r_user = '' AND r_session = '' THEN
            RAISE EXCEPTION 'a kick needs a user, or a session: the id that the client''s socket.id has'
                USING ERRCODE = 'invalid_parameter_value';
        END IF;

    ELSIF p_call = 'revoke' THEN
        v_body := parley_api_body(p_body, ARRAY['user', 'tokenId', 'seconds']);
        r_user := coalesce(parley_api_text(v_body, 'user'), '');
        r_token := coalesce(parley_api_text(v_body, 'tokenId'), '');
        IF (r_user = '') = (r_token = '') OR octet_length(r_user || r_token) > 128 THEN
            RAISE EXCEPTION 'a revocation needs either a user or a tokenId, of at most 128 bytes'
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        IF v_body -> 'seconds' IS NOT NULL AND (jsonb_typeof(v_body -> 'seconds') <> 'number'
            OR (v_body ->> 'seconds')::numeric NOT BETWEEN 1 AND 31622400) THEN
            RAISE EXCEPTION 'seconds must be a number from 1 to 31622400: as long as the longest token lives'
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        INSERT INTO revocations AS k (kind, name, before, until)
        VALUES (CASE WHEN r_user <> '' THEN 'user' ELSE 'token' END, r_user || r_token, clock_timestamp(),
            clock_timestamp() + coalesce((v_body ->> 'seconds')::numeric, 2592000) * interval '1 second')
        ON CONFLICT (kind, name) DO UPDATE SET before = greatest(k.before, excluded.before), until = greatest(k.until, excluded.until)
        RETURNING ceil(extract(epoch FROM before) * 1000)::bigint, ceil(extract(epoch FROM until) * 1000)::bigint
        INTO r_before_ms, r_until_ms;

    ELSE
        RAISE EXCEPTION 'there is no such call';
    END IF;
    RETURN NEXT;
EXCEPTION WHEN invalid_parameter_value THEN
    GET STACKED DIAGNOSTICS v_message = MESSAGE_TEXT;
    r_status := 400;
    r_body := parley_api_error('invalid', v_message);
    RETURN NEXT;
END
$$;
