/**
 * All clients of a gateway come back at the same moment: they get all that they missed, and those who were there before
 * notice nothing.
 *
 * PARLEY_TEST_STORM says how many they are: 15000 is what a gateway takes.
 */
import assert from 'node:assert/strict';
import { residentBytes } from './harness/echo.mjs';
import { Load } from './harness/load.mjs';
import { someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { PATIENCE, eventually } from './harness/wait.mjs';

const CLIENTS = Number(process.env.PARLEY_TEST_STORM ?? 3000);
const WITNESSES = 20;
const MISSED = 600;

/** Of a storm, in ms: each thousand of clients has its share. */
const STORM_MS = 30_000 + 10 * CLIENTS;

const stack = ownStack({
    gateways: 3,
    // A heartbeat falls into the storm, and whoever would be kept waiting for seconds would lose the connection.
    // Rooms of tests before do not go meanwhile.
    gatewayEnv: { PING_INTERVAL: '3s', PING_TIMEOUT: '10s', CONNECTIONS_MAX: '17000', ROOM_GRACE: '1h' },
});

/** A gateway's metric without labels. */
async function metric(gateway, name) {
    return Number((await gateway.metrics()).match(new RegExp(`^${name} (\\S+)$`, 'm'))[1]);
}

async function costs(gateway) {
    return {
        queries: await metric(gateway, 'parley_queries_total'),
        rooms: await metric(gateway, 'parley_rooms'),
        subscriptions: await metric(gateway, 'parley_nats_subscriptions'),
    };
}

/** A room of its own name for the load generator, which takes letters and digits only. */
function freshPrefix() {
    return freshRoom('storm').replace('-', '');
}

/** People on two gateways, who talk all the while until they are told to stop, and must not notice anything. */
async function talk(t, urls) {
    const room = freshRoom();
    const [anna, bert] = [await someoneIn(t, urls[0], { room }), await someoneIn(t, urls[1], { room })];
    let isOver = false;
    const saying = (async () => {
        let said = 0;
        for (; !isOver; said += 2) {
            assert.equal((await anna.say('to you')).status, 'ok');
            assert.equal((await bert.say('and to you')).status, 'ok');
        }
        return said;
    })();
    return {
        async stop() {
            isOver = true;
            const said = await saying;
            for (const person of [anna, bert]) {
                await person.hasSeen(said);
                person.sawExactly(1, said);
                assert.equal(person.joins.length, 1, 'nobody had to come back');
                assert.deepEqual(person.errors, []);
                person.goHome();
            }
        },
    };
}

/** Asks the admin port again and again until it is told to stop. */
function watch(gateway) {
    let isOver = false;
    const watching = (async () => {
        while (!isOver)
            for (const page of ['healthz', 'readyz', 'metrics'])
                assert.equal((await fetch(`${gateway.adminUrl}/${page}`)).status, 200, page);
    })();
    return {
        async stop() {
            isOver = true;
            await watching;
        },
    };
}

/** Waits until the crowd has gone, so that the next test has its own. */
async function isQuiet() {
    for (const gateway of stack.gateways.filter(({ child }) => child.isRunning))
        await eventually(async () => (await metric(gateway, 'parley_clients')) === 0, `${gateway.name} to be empty`);
}

promise('all_clients_of_a_killed_gateway_come_back_to_another_and_nobody_there_notices', { of: stack, timeoutMs: STORM_MS }, async (t) => {
    const [dying, next, other] = stack.gateways;
    const talking = await talk(t, [stack.urls[1], stack.urls[2]]);
    const storm = new Load(stack, 'storm', {
        connect: [dying],
        back: [next],
        witness: [next, other],
        members: CLIENTS + WITNESSES,
        witnesses: WITNESSES,
        missed: MISSED,
        room: freshPrefix(),
    });
    await storm.joined();
    const before = { queries: await metric(next, 'parley_queries_total'), bytes: await residentBytes(next.child.pid) };
    const watching = watch(next);
    await dying.kill();
    const figures = await storm.result(STORM_MS);
    await Promise.all([watching.stop(), talking.stop()]);
    t.diagnostic(JSON.stringify(figures));

    // What they missed was in memory; heads checks are what is left.
    const queries = (await metric(next, 'parley_queries_total')) - before.queries;
    assert.ok(queries < 40, `${queries} queries for ${CLIENTS} clients`);
    await isQuiet();
    const grown = (await residentBytes(next.child.pid)) - before.bytes;
    // What the C library keeps of the crowd's small blocks; a sanitizer keeps much more.
    if (PATIENCE === 1) assert.ok(grown < 8 * 1024 * 1024 + 2048 * CLIENTS, `${grown} bytes more after ${CLIENTS} clients`);
    await dying.start();
});

promise('all_clients_of_a_restarted_gateway_come_back_to_it_and_read_what_they_missed_once', { of: stack, timeoutMs: STORM_MS }, async (t) => {
    const [restarted, ...others] = stack.gateways;
    await isQuiet();
    const storm = new Load(stack, 'storm', {
        connect: [restarted],
        back: [restarted],
        witness: others,
        members: CLIENTS + WITNESSES,
        witnesses: WITNESSES,
        missed: MISSED,
        room: freshPrefix(),
    });
    await storm.joined();
    await restarted.kill();
    const talking = await talk(t, [stack.urls[1], stack.urls[2]]);
    await restarted.start({ PORT: String(restarted.port) });
    const watching = watch(restarted);
    const figures = await storm.result(STORM_MS);
    await Promise.all([watching.stop(), talking.stop()]);
    t.diagnostic(JSON.stringify(figures));

    const pages = await metric(restarted, 'parley_page_parts_fetched_total');
    assert.ok(pages > 0 && pages < 2 * (1 + MISSED / 256), `${pages} pages for ${CLIENTS} clients`);
    const queries = await metric(restarted, 'parley_queries_total');
    assert.ok(queries < 40, `${queries} queries for ${CLIENTS} clients`);
});

promise('a_new_room_that_thousands_enter_at_once_costs_one_subscription_and_one_read', { of: stack, timeoutMs: STORM_MS }, async () => {
    const [gateway] = stack.gateways;
    await isQuiet();
    const before = await costs(gateway);
    const crowd = new Load(stack, 'idle', {
        connect: [gateway],
        'server-pid': gateway.child.pid,
        members: CLIENTS,
        warmup: 0,
        seconds: 0.1,
        room: freshPrefix(),
    });
    await crowd.result(STORM_MS);
    // One opens the room. Heads checks come 1 s later, and at doubling intervals, of this one and of rooms before it.
    const after = await costs(gateway);
    const queries = after.queries - before.queries;
    assert.ok(queries >= 1 && queries < 20, `${queries} queries for ${CLIENTS} clients`);
    assert.equal(after.rooms, before.rooms + 1);
    assert.equal(after.subscriptions, before.subscriptions + 1);
});
