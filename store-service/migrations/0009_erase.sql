-- Erasing what one user has said: the messages stay, and with them the ids, but not what they say or who said it.

-- Rooms in which messages were erased, and gateways do not know of it yet.
CREATE TABLE erased_rooms (
    room_id bigint PRIMARY KEY
);

-- One step: looks at up to p_messages messages behind message p_id of room number p_room, in the order of the primary key, and
-- erases those of p_sender.
--
-- Returns how many it looked at and how many it erased, and behind which message the next step goes on.
--
-- What remains of a message is its id and its time. Its key for duplicates is made anew, too: who has the text could tell from
-- the old one that it was this. So the same message sent again would count as new.
CREATE FUNCTION parley_erase_step(p_sender text, p_room bigint, p_id bigint, p_messages int)
RETURNS TABLE (r_seen bigint, r_erased bigint, r_room bigint, r_id bigint)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
BEGIN
    RETURN QUERY
    WITH seen AS MATERIALIZED (
        SELECT m.room_id, m.id, m.sender FROM messages m
        WHERE (m.room_id, m.id) > (p_room, p_id) ORDER BY m.room_id, m.id LIMIT p_messages),
    -- Locked in their order, as whoever deletes does it.
    theirs AS MATERIALIZED (
        SELECT m.room_id, m.id, gen_random_uuid()::text AS client_id
        FROM seen s JOIN messages m ON m.room_id = s.room_id AND m.id = s.id
        WHERE s.sender = p_sender ORDER BY m.room_id, m.id FOR UPDATE OF m),
    erased AS (
        UPDATE messages m SET sender = '[erased]', session = 'erased', client_id = t.client_id, body = '[erased]',
            dedup_key = parley_dedup_key('[erased]', 'erased', t.client_id, '[erased]')
        FROM theirs t WHERE m.room_id = t.room_id AND m.id = t.id
        RETURNING m.room_id),
    marked AS (
        INSERT INTO erased_rooms (room_id) SELECT DISTINCT d.room_id FROM erased d ON CONFLICT DO NOTHING)
    SELECT (SELECT count(*) FROM seen), (SELECT count(*) FROM erased), l.room_id, l.id
    FROM (SELECT s.room_id, s.id FROM seen s ORDER BY s.room_id DESC, s.id DESC LIMIT 1) l;
END
$$;

-- Tells gateways of one room with a number below p_below in which messages were erased. False: there is none.
--
-- The room begins an epoch of its own, so that gateways which have it open drop what they keep of it in memory; its newest
-- message is announced once more, so that they hear of it now. All ids stay what they are: of epochs that began in this way the
-- newest one is as good as all of them, and the others are forgotten, so that they never become many.
CREATE FUNCTION parley_tell_of_erasure(p_below bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_id bigint;
    v_epoch bigint;
    v_head bigint;
BEGIN
    -- Steps of other erasures are over now, or wait: the epoch is newer than all that is erased in the room that it is for.
    LOCK TABLE erased_rooms IN SHARE ROW EXCLUSIVE MODE;
    -- No epoch of the database begins meanwhile.
    PERFORM pg_advisory_xact_lock_shared(parley_epoch_lock());
    DELETE FROM erased_rooms WHERE room_id = (
        SELECT e.room_id FROM erased_rooms e WHERE e.room_id < p_below ORDER BY e.room_id LIMIT 1)
    RETURNING room_id INTO v_id;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT greatest(r.epoch + 1, extract(epoch FROM clock_timestamp())::bigint) INTO v_epoch
    FROM room_rows r WHERE r.id = v_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN true; -- somebody has deleted its row: nobody has it open
    END IF;
    -- Behind the lock: nobody appends now.
    SELECT r.head INTO v_head FROM rooms r WHERE r.id = v_id;
    DELETE FROM room_epochs WHERE room_id = v_id AND reason = 'messages were erased';
    UPDATE room_rows SET epoch = v_epoch WHERE id = v_id;
    INSERT INTO room_epochs (room_id, epoch, first_id, reason) VALUES (v_id, v_epoch, v_head + 1, 'messages were erased');
    INSERT INTO unannounced (room_id, id) VALUES (v_id, v_head) ON CONFLICT DO NOTHING;
    NOTIFY parley_unannounced;
    RETURN true;
END
$$;
