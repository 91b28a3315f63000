-- Epochs: see the table of that name.

-- Which Postgres this is: its system identifier (made by initdb, kept by copies of the files) and its timeline (a
-- promoted standby and a recovery to a point in time begin a new one).
CREATE FUNCTION parley_database_identity() RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_system text;
BEGIN
    BEGIN
        SELECT system_identifier::text INTO STRICT v_system FROM pg_control_system();
    EXCEPTION WHEN insufficient_privilege THEN
        v_system := 'unknown'; -- the timeline still tells the most frequent cases
    END;
    RETURN v_system || '/' || ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int;
END
$$;

-- The advisory lock between those who make rooms (shared) and who begins an epoch (exclusive): no room is made with
-- the epoch that has just ended.
CREATE FUNCTION parley_epoch_lock() RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT 7885086013902701925 $$;

-- Begins a new epoch when this Postgres is not the one that the current epoch began on, or when p_forced.
-- Returns the reason, or NULL when the current epoch goes on.
--
-- The epoch's number is also the time in seconds, so that two worlds that were restored from one backup do not choose
-- the same number.
CREATE FUNCTION parley_ensure_epoch(p_forced boolean) RETURNS text
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
    v_epoch := greatest(coalesce(v_epoch, 0) + 1, extract(epoch FROM clock_timestamp())::bigint);
    INSERT INTO epochs (epoch, identity, reason) VALUES (v_epoch, v_identity, v_reason);
    WITH moved AS (UPDATE rooms SET epoch = v_epoch RETURNING id, head)
    INSERT INTO room_epochs (room_id, epoch, first_id) SELECT id, v_epoch, head + 1 FROM moved;
    RETURN v_reason;
END
$$;
