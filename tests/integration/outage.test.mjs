/**
 * Without Postgres, the store-service or NATS: clients stay, what is in memory is served, sends end in `unavailable` at
 * their deadline, and all heals by itself.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { range, someone, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const SEND_DEADLINE_MS = 1500;
const OUTAGE_MS = 1000 * Number(process.env.PARLEY_TEST_OUTAGE ?? 4);

const stack = ownStack({
    gateways: 2,
    stores: 2,
    gatewayEnv: { SEND_DEADLINE: `${SEND_DEADLINE_MS}ms`, PING_INTERVAL: '1s', PING_TIMEOUT: '15s' },
});

/** Emits without waiting; at most an acknowledgement is written down. */
function emit(person, content, clientId) {
    const sent = { acks: [], since: performance.now() };
    person.socket.emit('chat message', content, clientId, (ack) => {
        sent.acks.push(ack);
        person.changed();
    });
    return sent;
}

async function unavailable(person, clientId) {
    await person.until(() => person.errors.some((error) => error.clientId === clientId), `a chat error for ${clientId}`);
    const error = person.errors.find((error) => error.clientId === clientId);
    assert.equal(error.code, 'unavailable');
    assert.equal(typeof error.message, 'string');
}

/** The same for every way in which the database can be away. */
async function outage(t, goAway, comeBack) {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: 'anna' } });
    const bert = await someoneIn(t, stack.urls[1], { room });
    await Promise.all(range(1, 10).map((n) => anna.say(`${n}`)));
    await bert.hasSeen(10);

    await goAway();
    const clientId = randomUUID();
    const sent = emit(anna, 'said in the dark', clientId);
    await unavailable(anna, clientId);
    const lasted = performance.now() - sent.since;
    assert.ok(lasted > SEND_DEADLINE_MS * 0.8, `at the deadline, not after ${lasted} ms`);
    assert.deepEqual(sent.acks, [], 'a client with retries would take any acknowledgement for success');

    // Who has been here comes back, and who comes with an offset is served, both from memory.
    bert.dropConnection();
    assert.equal((await bert.joined(2)).recovered, true);
    const cleo = await someoneIn(t, stack.urls[0], { room, auth: { serverOffset: 4 } });
    await cleo.hasSeen(10);
    cleo.sawExactly(5, 10);
    for (const person of [anna, cleo]) assert.equal(person.leaves.length, 0);
    // Whom only the store can tell anything waits, and is not refused.
    const dora = someone(t, stack.urls[0], { room: freshRoom(), auth: { serverOffset: 0 } });

    await comeBack();
    // The first attempt may have been stored meanwhile, or is stored with this one: once in any case.
    const ack = await anna.say('said in the dark', clientId);
    assert.equal(ack.status, 'ok');
    assert.equal(ack.id, '11');
    assert.equal((await anna.say('light')).id, '12');
    for (const [person, from] of [[anna, 1], [bert, 1], [cleo, 5]]) {
        await person.hasSeen(12);
        person.sawExactly(from, 12);
    }
    await dora.joined();
    assert.deepEqual(dora.refusals, []);
    assert.equal((await dora.say('at last')).id, '1');
    const rows = await stack.rows('SELECT count(*)::int AS n FROM messages WHERE client_id = $1', [clientId]);
    assert.deepEqual(rows, [{ n: 1 }]);
}

promise('a_crashed_postgres_costs_only_time', { of: stack }, (t) =>
    outage(t, () => stack.postgres.stop('immediate'), () => stack.postgres.start()),
);

promise('a_frozen_postgres_costs_only_time', { of: stack }, (t) =>
    outage(t, () => stack.postgres.pause(), () => stack.postgres.resume()),
);

promise('frozen_store_services_cost_only_time', { of: stack }, (t) =>
    outage(
        t,
        async () => stack.stores.forEach((store) => store.child.signal('SIGSTOP')),
        async () => stack.stores.forEach((store) => store.child.signal('SIGCONT')),
    ),
);

promise('killed_store_services_cost_only_time', { of: stack }, (t) =>
    outage(
        t,
        () => Promise.all(stack.stores.map((store) => store.kill())),
        () => Promise.all(stack.stores.map((store) => store.start())),
    ),
);

promise('a_killed_NATS_costs_only_time', { of: stack }, (t) =>
    outage(t, () => stack.nats.kill(), () => stack.nats.start()),
);

// nats.c gives up for good when a server refuses it twice in a row.
promise('a_NATS_that_refuses_us_for_a_while_costs_only_time', { of: stack }, async (t) => {
    const room = freshRoom();
    const programs = [...stack.gateways, ...stack.stores];
    const anna = await someoneIn(t, stack.urls[0], { room });
    const bert = await someoneIn(t, stack.urls[1], { room });
    await stack.nats.kill();
    const refused = programs.map((program) => program.child.line(/nats_not_there_yet .*Authentication Violation/i));
    await stack.nats.start(['--user', 'somebody', '--pass', 'else']);
    await Promise.all(refused);
    await stack.nats.kill();
    await stack.nats.start();
    await Promise.all(programs.map((program) => program.ready()));
    assert.equal((await anna.say('hello again')).id, '1');
    await bert.hasSeen(1);
});

/**
 * An outage that takes as long as it takes (PARLEY_TEST_OUTAGE, seconds): heartbeats go on meanwhile, and each send ends
 * in `unavailable`.
 */
async function longOutage(t, goAway, comeBack) {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const bert = await someoneIn(t, stack.urls[1], { room });
    const before = range(1, 10);
    for (const n of before) await anna.say(`${n}`);
    await bert.hasSeen(before.length);
    await goAway();
    const end = performance.now() + OUTAGE_MS;
    const unstored = [];
    do {
        const clientId = randomUUID();
        emit(anna, 'in the dark', clientId);
        unstored.push(clientId);
        await unavailable(anna, clientId);
    } while (performance.now() < end);
    // Meanwhile who comes back is served from memory.
    bert.dropConnection();
    assert.equal((await bert.joined(2)).recovered, true);
    assert.equal(anna.leaves.length, 0);
    await comeBack();
    // Without a restart of anything; what was told to be unavailable is stored once, in whichever order.
    for (const clientId of unstored) assert.equal((await anna.say('in the dark', clientId)).status, 'ok');
    const count = before.length + unstored.length;
    for (const person of [anna, bert]) {
        await person.hasSeen(count);
        person.sawExactly(1, count);
    }
}

promise('clients_stay_through_a_long_outage_of_Postgres', { of: stack, timeoutMs: OUTAGE_MS + 60_000 }, (t) =>
    longOutage(t, () => stack.postgres.stop('immediate'), () => stack.postgres.start()),
);

promise('clients_stay_through_a_long_outage_of_NATS', { of: stack, timeoutMs: OUTAGE_MS + 60_000 }, (t) =>
    longOutage(t, () => stack.nats.kill(), () => stack.nats.start()),
);

promise('a_short_outage_is_only_a_delay', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    await anna.say('before');
    await stack.postgres.pause();
    const sending = Promise.all(range(1, 20).map((n) => anna.say(`${n}`)));
    await stack.postgres.resume();
    assert.deepEqual((await sending).map((ack) => ack.id), range(2, 21).map(String));
    anna.sawExactly(1, 21);
    assert.deepEqual(anna.errors, []);
});

promise('readyz_tells_what_is_missing_and_healthz_that_the_process_lives', { of: stack }, async () => {
    const [gateway] = stack.gateways;
    const [store] = stack.stores;
    const status = async (program, path) => (await fetch(program.adminUrl + path)).status;
    await stack.nats.kill();
    for (const program of [gateway, store]) {
        await eventually(async () => (await status(program, '/readyz')) === 503, `${program.name} not to be ready`);
        assert.equal(await status(program, '/healthz'), 200);
        assert.match(await (await fetch(`${program.adminUrl}/readyz`)).text(), /NATS/i);
    }
    await stack.nats.start();
    for (const program of [gateway, store]) await program.ready();

    await stack.postgres.stop('immediate');
    await eventually(async () => (await status(store, '/readyz')) === 503, 'the store not to be ready');
    assert.match(await (await fetch(`${store.adminUrl}/readyz`)).text(), /Postgres|database/i);
    await stack.postgres.start();
    await store.ready();
});

promise('messages_that_NATS_lost_on_their_way_are_fetched', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const bert = await someoneIn(t, stack.urls[1], { room });
    for (const round of range(1, 3)) {
        const sending = Promise.all(range(1, 30).map((n) => anna.say(`${round}: ${n}`)));
        stack.nats.door.cut(); // every connection to NATS, in the midst of it
        for (const ack of await sending) assert.equal(ack.status, 'ok');
        await bert.hasSeen(30 * round);
    }
    for (const person of [anna, bert]) {
        await person.hasSeen(90);
        person.sawExactly(1, 90);
    }
});
