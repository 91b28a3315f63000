/**
 * Postgres answers with an error, or lets us wait for a lock: what passes is tried again and nobody notices more than a
 * pause; what lasts ends in `unavailable`, for those rooms only that it concerns; and all heals by itself.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const stack = ownStack({ gateways: 2, stores: 2, gatewayEnv: { SEND_DEADLINE: '2s' } });

/** A session of an operator's. */
async function operator(t) {
    const client = new pg.Client({ host: stack.postgres.socketFolder, user: 'parley', database: 'parley' });
    client.on('error', () => {});
    await client.connect();
    t.after(() => client.end());
    return client;
}

/** Emits without waiting for an acknowledgement, which must not come. */
function emit(person, content) {
    const clientId = randomUUID();
    person.socket.emit('chat message', content, clientId, (ack) => assert.fail(`acknowledged: ${JSON.stringify(ack)}`));
    return clientId;
}

async function isUnavailable(person, clientId) {
    const told = () => person.errors.find((error) => error.clientId === clientId);
    await person.until(told, `a chat error for ${clientId}`);
    assert.equal(told().code, 'unavailable');
}

/** What was given up was on its way already: nothing overtakes it, so it is stored when that is possible again. */
async function isStoredInTheEnd(clientId) {
    const sql = 'SELECT FROM messages WHERE client_id = $1';
    await eventually(async () => (await stack.rows(sql, [clientId])).length === 1, 'what was given up to be stored');
}

async function twoIn(t, room) {
    return Promise.all(stack.urls.map((url) => someoneIn(t, url, { room })));
}

async function everyoneSawAll(room, people, count) {
    const sql = 'SELECT m.id::int, m.body FROM messages m JOIN rooms r ON r.id = m.room_id WHERE r.name = $1 ORDER BY m.id';
    const rows = await stack.rows(sql, [room]);
    assert.deepEqual(rows.map(({ id }) => id), range(1, count));
    for (const person of people) {
        await person.hasSeen(count);
        person.sawExactly(1, count);
        assert.deepEqual(person.contents, rows.map(({ body }) => body));
        assert.equal(person.leaves.length, 0);
    }
}

/** Has inserts of messages fail with an error: the next so many. */
async function tripInserts(t, sqlstate, times) {
    await stack.rows(`
        CREATE SEQUENCE trips;
        CREATE FUNCTION trip() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('trips') <= ${times} THEN
                RAISE EXCEPTION 'tripped' USING ERRCODE = '${sqlstate}';
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER trip BEFORE INSERT ON messages EXECUTE FUNCTION trip();`);
    const remove = () => stack.rows('DROP FUNCTION IF EXISTS trip CASCADE; DROP SEQUENCE IF EXISTS trips');
    t.after(remove);
    return { count: async () => Number((await stack.rows('SELECT last_value FROM trips'))[0].last_value), remove };
}

for (const [sqlstate, what] of [
    ['40001', 'serialization_failure'],
    ['40P01', 'deadlock'],
    ['53100', 'full_disk'],
    ['53200', 'shortage_of_memory'],
    ['57014', 'cancelled_statement'],
    ['57P03', 'server_that_is_starting_up'],
    ['58030', 'input_or_output_error'],
    ['XX000', 'internal_error'],
]) {
    promise(`a_${what}_that_passes_is_only_a_delay`, { of: stack }, async (t) => {
        const room = freshRoom();
        const people = await twoIn(t, room);
        await people[0].say('1');
        const trips = await tripInserts(t, sqlstate, 2);
        const acks = await Promise.all(range(2, 6).map((n) => people[0].say(`${n}`)));
        assert.deepEqual(acks.map(({ status, id }) => [status, Number(id)]), range(2, 6).map((id) => ['ok', id]));
        assert.ok((await trips.count()) > 2, 'it was tried again after each failure');
        await everyoneSawAll(room, people, 6);
        for (const person of people) assert.deepEqual(person.errors, []);
    });
}

promise('while_the_disk_is_full_sends_are_unavailable_and_reading_goes_on', { of: stack }, async (t) => {
    const room = freshRoom();
    const people = await twoIn(t, room);
    await people[0].say('1');
    const trips = await tripInserts(t, '53100', 1e9);
    const clientId = emit(people[0], 'no room for this');
    await isUnavailable(people[0], clientId);
    const late = await someoneIn(t, stack.urls[1], { room, auth: { serverOffset: 0 } });
    await late.hasSeen(1);
    await trips.remove();
    assert.equal((await people[1].say('room again')).status, 'ok');
    await isStoredInTheEnd(clientId);
    await everyoneSawAll(room, [...people, late], 3);
});

promise('while_Postgres_is_read_only_sends_are_unavailable_and_then_it_heals', { of: stack }, async (t) => {
    const room = freshRoom();
    const people = await twoIn(t, room);
    await people[0].say('1');
    await stack.postgres.set('default_transaction_read_only', 'on');
    const clientId = emit(people[0], 'not now');
    await isUnavailable(people[0], clientId);
    const session = await operator(t);
    await session.query('SET default_transaction_read_only = off');
    await session.query('ALTER SYSTEM RESET default_transaction_read_only');
    await session.query('SELECT pg_reload_conf()');
    assert.equal((await people[1].say('now')).status, 'ok');
    await isStoredInTheEnd(clientId);
    await everyoneSawAll(room, people, 3);
});

promise('connections_that_an_administrator_ends_cost_only_time', { of: stack }, async (t) => {
    const room = freshRoom();
    const people = await twoIn(t, room);
    await people[0].say('1');
    let goesOn = true;
    const talking = people.map(async (person) => {
        let said = 0;
        while (goesOn) {
            assert.equal((await person.say('on and on')).status, 'ok');
            said++;
        }
        return said;
    });
    const seen = () => people[0].messages.length;
    for (const round of range(1, 10)) {
        const before = seen();
        await stack.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'parley-store'");
        await people[0].until(() => seen() >= before + 5, `talk to go on after round ${round}`);
    }
    goesOn = false;
    const said = (await Promise.all(talking)).reduce((sum, count) => sum + count, 1);
    await everyoneSawAll(room, people, said);
});

promise('a_planned_restart_of_Postgres_is_only_a_delay', { of: stack }, async (t) => {
    const room = freshRoom();
    const people = await twoIn(t, room);
    await people[0].say('1');
    await stack.postgres.stop('fast');
    const sending = Promise.all(range(2, 6).map((n) => people[0].say(`${n}`)));
    await stack.postgres.start();
    assert.deepEqual((await sending).map(({ id }) => Number(id)), range(2, 6));
    await everyoneSawAll(room, people, 6);
});

promise('a_store_waits_where_Postgres_has_no_connection_left', { of: stack }, async (t) => {
    const [store] = stack.stores;
    await store.stop();
    const hogs = [];
    const full = await eventually(async () => {
        try {
            hogs.push(await operator(t));
        } catch (error) {
            return error.code;
        }
    }, 'the last connection to be taken');
    assert.equal(full, '53300');
    await store.launch();
    await eventually(
        async () => /too many clients/.test(await (await fetch(`${store.adminUrl}/readyz`)).text()),
        'the store to say what it lacks',
    );
    await Promise.all(hogs.map((hog) => hog.end()));
    await store.ready();
    const [anna] = await twoIn(t, freshRoom());
    assert.equal((await anna.say('hello')).id, '1');
});

promise('a_room_whose_row_somebody_holds_waits_and_others_go_on', { of: stack }, async (t) => {
    const [held, free] = [freshRoom('held'), freshRoom('free')];
    const inHeld = await twoIn(t, held);
    const inFree = await twoIn(t, free);
    await inHeld[0].say('1');
    const session = await operator(t);
    await session.query('BEGIN');
    await session.query('SELECT FROM rooms WHERE name = $1 FOR UPDATE', [held]);
    const clientId = emit(inHeld[0], '2');
    let said = 0;
    while (inHeld[0].errors.length === 0) {
        assert.equal((await inFree[said % 2].say('on and on')).status, 'ok');
        said++;
    }
    await isUnavailable(inHeld[0], clientId);
    assert.ok(said > 5, `${said} messages in another room meanwhile`);
    await session.query('COMMIT');
    assert.equal((await inHeld[1].say('3')).status, 'ok');
    await isStoredInTheEnd(clientId);
    await everyoneSawAll(held, inHeld, 3);
    await everyoneSawAll(free, inFree, said);
    for (const person of inFree) assert.deepEqual(person.errors, []);
});

promise('while_somebody_alters_the_table_of_messages_sends_are_unavailable_and_then_it_heals', { of: stack }, async (t) => {
    const room = freshRoom();
    const people = await twoIn(t, room);
    await people[0].say('1');
    const session = await operator(t);
    await session.query('BEGIN');
    await session.query('LOCK TABLE messages IN ACCESS EXCLUSIVE MODE');
    const clientId = emit(people[0], '2');
    await isUnavailable(people[0], clientId);
    for (const person of people) assert.equal(person.leaves.length, 0);
    await session.query('COMMIT');
    assert.equal((await people[1].say('3')).status, 'ok');
    await isStoredInTheEnd(clientId);
    await everyoneSawAll(room, people, 3);
});
