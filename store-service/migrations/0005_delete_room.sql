-- Deleting what was said in a room.

-- NULL: with the epoch of the database. Otherwise why the room alone began one.
ALTER TABLE room_epochs ADD COLUMN reason text;

-- Deletes the messages of a room. Returns the newest id that was ever given there, NULL when there is no such room.
--
-- The room's row stays, and its ids go on behind the old ones: what a client remembers never names another message. The
-- room begins an epoch of its own, so that gateways which have it open drop what they keep of it in memory.
CREATE FUNCTION parley_delete_room(p_name text) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_id bigint;
    v_epoch bigint;
    v_head bigint;
BEGIN
    -- No epoch of the database begins meanwhile.
    PERFORM pg_advisory_xact_lock_shared(parley_epoch_lock());
    SELECT r.id, greatest(r.epoch + 1, extract(epoch FROM clock_timestamp())::bigint) INTO v_id, v_epoch
    FROM room_rows r WHERE r.name = p_name FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- Behind the lock: nobody appends now.
    SELECT r.head INTO v_head FROM rooms r WHERE r.id = v_id;
    DELETE FROM messages m WHERE m.room_id = v_id;
    UPDATE room_rows SET epoch = v_epoch, floor = v_head WHERE id = v_id;
    INSERT INTO room_epochs (room_id, epoch, first_id, reason) VALUES (v_id, v_epoch, v_head + 1, 'its messages were deleted');
    RETURN v_head;
END
$$;
