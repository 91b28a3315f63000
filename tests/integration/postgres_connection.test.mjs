/**
 * The connection to Postgres breaks, or falls silent, at each place of a statement's life: nothing is lost, nothing is
 * there twice, and who talks notices a pause at most.
 */
import assert from 'node:assert/strict';
import net from 'node:net';
import { Door } from './harness/door.mjs';
import { metricSum } from './harness/memory.mjs';
import { range, someoneIn } from './harness/person.mjs';
import { PLACES, PostgresProxy } from './harness/postgres_proxy.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const stack = ownStack({ gateways: 2, stores: 1 });

const urlOfPorts = (...ports) => {
    const hosts = ports.map(() => '127.0.0.1').join(',');
    return `postgresql:///parley?user=parley&host=${hosts}&port=${ports.join(',')}&sslmode=disable&gssencmode=disable`;
};

/** Starts the store-service with other settings, until the test ends. */
async function restart(t, env) {
    const [store] = stack.stores;
    await store.stop();
    await store.start(env);
    t.after(async () => {
        await store.stop();
        await store.start();
    });
    return store;
}

/** Has it reach Postgres by another way. */
const reachBy = (t, url) => restart(t, { DATABASE_URL: url });

async function doorToPostgres(t) {
    const door = await Door.open(() => `${stack.postgres.socketFolder}/.s.PGSQL.5432`);
    t.after(() => door.close());
    return door;
}

/** A server that accepts connections and says nothing, as a frozen machine behind a proxy. */
async function silentPort(t) {
    const sockets = new Set();
    const server = net.createServer((socket) => {
        sockets.add(socket);
        socket.on('error', () => {});
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => {
        for (const socket of sockets) socket.destroy();
        server.close();
    });
    return server.address().port;
}

async function transactionsThatWere(store, result) {
    const text = await store.metrics();
    return Number(text.match(new RegExp(`^parley_store_transactions_total\\{result="${result}"\\} (\\d+)`, 'm'))[1]);
}

/** All who were in the room have seen exactly what is stored there, once each, in order. */
async function everyoneSawAll(room, people, count) {
    const sql = `SELECT m.id::int, m.body FROM messages m JOIN rooms r ON r.id = m.room_id WHERE r.name = $1 ORDER BY m.id`;
    const rows = await stack.rows(sql, [room]);
    assert.deepEqual(rows.map(({ id }) => id), range(1, count));
    for (const person of people) {
        await person.hasSeen(count);
        person.sawExactly(1, count);
        assert.deepEqual(person.contents, rows.map(({ body }) => body));
        assert.deepEqual(person.gaps, []);
        assert.equal(person.leaves.length, 0);
    }
}

for (const place of Object.keys(PLACES)) {
    const name = `a_connection_that_breaks_${place}_costs_only_time`.replace(/,? /g, '_');
    promise(name, { of: stack }, async (t) => {
        const proxy = await PostgresProxy.open(stack.postgres);
        t.after(() => proxy.close());
        const store = await reachBy(t, proxy.url);
        const room = freshRoom();
        const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: 'anna' } });
        const bert = await someoneIn(t, stack.urls[1], { room });
        await anna.say('1');
        for (const round of range(1, 3)) {
            proxy.breakNext('parley_append', place);
            const sending = range(1, 4).map((n) => anna.say(`${4 * round - 3 + n}`));
            await proxy.broken(round);
            const acks = await Promise.all(sending);
            assert.deepEqual(acks.map(({ status, id }) => [status, Number(id)]), range(4 * round - 2, 4 * round + 1).map((id) => ['ok', id]));
        }
        await everyoneSawAll(room, [anna, bert], 13);
        assert.deepEqual(anna.errors, []);
        assert.equal(await transactionsThatWere(store, 'unknown'), 3);
    });
}

promise('a_connection_that_breaks_while_a_range_is_read_costs_only_time', { of: stack }, async (t) => {
    const proxy = await PostgresProxy.open(stack.postgres);
    t.after(() => proxy.close());
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    await Promise.all(range(1, 300).map((n) => anna.say(`${n} ${'x'.repeat(200)}`)));
    await reachBy(t, proxy.url);
    proxy.breakNext('parley_oldest', 'after COMMIT, and half of the answer has come');
    const bert = await someoneIn(t, stack.urls[1], { room, auth: { serverOffset: 0 } });
    await proxy.broken(1);
    await everyoneSawAll(room, [anna, bert], 300);
});

promise('a_migration_that_changes_what_prepared_statements_give_costs_only_time', { of: stack }, async (t) => {
    const store = await restart(t, { READ_LANES: '1' });
    const connects = async () => metricSum(await store.metrics(), 'parley_store_postgres_connects_total');
    const rooms = [freshRoom(), freshRoom()];
    const speakers = await Promise.all(rooms.map((room) => someoneIn(t, stack.urls[0], { room })));
    await Promise.all(speakers.map((speaker) => speaker.say('1')));
    const reader = (room) => someoneIn(t, stack.urls[1], { room, auth: { serverOffset: 0 } });
    await everyoneSawAll(rooms[0], [speakers[0], await reader(rooms[0])], 1);
    const before = await connects();
    await stack.rows('ALTER TABLE messages ALTER COLUMN body TYPE varchar');
    t.after(() => stack.rows('ALTER TABLE messages ALTER COLUMN body TYPE text'));
    await everyoneSawAll(rooms[1], [speakers[1], await reader(rooms[1])], 1);
    assert.equal(await connects(), before + 1, 'on a new connection, prepared anew');
});

promise('connections_that_fall_silent_are_given_up_before_a_send_fails', { of: stack }, async (t) => {
    const door = await doorToPostgres(t);
    const store = await reachBy(t, urlOfPorts(door.port));
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const bert = await someoneIn(t, stack.urls[1], { room });
    await anna.say('1');
    door.freeze();
    const acks = await Promise.all(range(2, 4).map((n) => anna.say(`${n}`)));
    assert.deepEqual(acks.map(({ id }) => id), ['2', '3', '4']);
    assert.deepEqual(anna.errors, []);
    assert.equal(await transactionsThatWere(store, 'unknown'), 1);
    await everyoneSawAll(room, [anna, bert], 4);
});

promise('while_the_network_to_Postgres_swallows_all_sends_are_unavailable_and_then_it_heals', { of: stack }, async (t) => {
    const door = await doorToPostgres(t);
    const store = await reachBy(t, urlOfPorts(door.port));
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const bert = await someoneIn(t, stack.urls[1], { room });
    await anna.say('1');
    const silent = await silentPort(t);
    door.leadTo(() => silent);
    door.freeze();
    const clientId = 'a client id of its own';
    anna.socket.emit('chat message', '2', clientId);
    await anna.until(() => anna.errors.length > 0, 'a chat error');
    assert.equal(anna.errors[0].code, 'unavailable');
    await eventually(async () => (await fetch(`${store.adminUrl}/readyz`)).status === 503, 'the store not to be ready');
    door.leadTo(() => `${stack.postgres.socketFolder}/.s.PGSQL.5432`);
    assert.equal((await anna.say('2', clientId)).id, '2');
    await everyoneSawAll(room, [anna, bert], 2);
});

promise('of_several_hosts_one_that_is_silent_and_one_that_is_not_there_are_passed_by', { of: stack }, async (t) => {
    const door = await doorToPostgres(t);
    const closed = await Door.open(() => null);
    await closed.shut();
    await reachBy(t, urlOfPorts(await silentPort(t), closed.port, door.port));
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const bert = await someoneIn(t, stack.urls[1], { room });
    await anna.say('1');
    const since = performance.now();
    door.cut();
    assert.equal((await anna.say('2')).id, '2');
    t.diagnostic(`a lane was back, past a silent host, after ${((performance.now() - since) / 1000).toFixed(1)} s`);
    assert.deepEqual(anna.errors, []);
    await everyoneSawAll(room, [anna, bert], 2);
});
