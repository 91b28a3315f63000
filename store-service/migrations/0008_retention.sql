-- Old messages leave, in steps that hurt nobody.

-- One step: looks at up to p_rooms rooms behind the one with the number p_behind, in the order of their numbers, and deletes
-- up to p_messages messages that were stored before p_before, each room's oldest first, so that no hole is left.
--
-- Returns how many it deleted, and behind which room the next step goes on; NULL: that was the last room.
--
-- It reads what it deletes and one message more for each room, by the primary key; it locks no room but one whose messages
-- are all gone.
CREATE FUNCTION parley_expire(p_behind bigint, p_before timestamptz, p_rooms int, p_messages int)
RETURNS TABLE (r_deleted bigint, r_behind bigint)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_room bigint;
    v_rooms int := 0;
    v_deleted bigint;
BEGIN
    r_deleted := 0;
    r_behind := NULL;
    FOR v_room IN SELECT r.id FROM room_rows r WHERE r.id > p_behind ORDER BY r.id LIMIT p_rooms LOOP
        v_rooms := v_rooms + 1;
        WITH oldest AS MATERIALIZED (
            SELECT m.id, m.created_at FROM messages m WHERE m.room_id = v_room ORDER BY m.id LIMIT p_messages - r_deleted)
        DELETE FROM messages m USING oldest o
        WHERE m.room_id = v_room AND m.id = o.id
            AND o.id < coalesce((SELECT min(k.id) FROM oldest k WHERE k.created_at >= p_before), o.id + 1);
        GET DIAGNOSTICS v_deleted = ROW_COUNT;
        r_deleted := r_deleted + v_deleted;
        IF r_deleted >= p_messages THEN
            r_behind := v_room - 1; -- it may have more
            RETURN NEXT;
            RETURN;
        END IF;
        r_behind := v_room;
    END LOOP;
    IF v_rooms < p_rooms THEN
        r_behind := NULL;
    END IF;
    RETURN NEXT;
END
$$;
