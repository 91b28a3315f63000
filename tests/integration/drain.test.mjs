/**
 * A gateway or a store-service is asked to end, and nobody notices: those who are there are served to the end, and go on
 * elsewhere.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { parseMetrics } from './harness/prometheus.mjs';
import { range, someoneIn } from './harness/person.mjs';
import { Polling, request } from './harness/polling.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually, within } from './harness/wait.mjs';

const HANDSHAKE = '/socket.io/?EIO=4&transport=polling';
const ENDED_WELL = { code: 0, signal: null };

const stack = ownStack({ gateways: 2, stores: 2 });

/** What /readyz says. */
async function readiness(program) {
    const answer = await fetch(`${program.adminUrl}/readyz`);
    return { status: answer.status, text: await answer.text() };
}

async function isDraining(program) {
    const { status, text } = await readiness(program);
    return status === 503 && /draining/.test(text);
}

/** Asks a process to end, and does not wait for it. */
function askToEnd(program) {
    program.child.isEndExpected = true;
    program.child.signal('SIGTERM');
}

/** The end of a process that was asked to. */
function end(program) {
    return within(program.child.exited, `the end of ${program.name}`);
}

async function restart(program, env) {
    await program.stop();
    await program.start(env);
}

async function metric(program, name) {
    return parseMetrics(await program.metrics()).get(name);
}

/** When a process says that it did something. */
function loggedAt(program, pattern) {
    const lines = program.child.lines.filter(({ text }) => pattern.test(text));
    return lines.map(({ text }) => Date.parse(text.match(/ time=(\S+)/)[1]));
}

/** Says something as a client with retries does: again with the same client id, until it is acknowledged. */
async function sayForCertain(person, content) {
    const clientId = randomUUID();
    for (;;) {
        try {
            const ack = await person.socket.timeout(3000).emitWithAck('chat message', content, clientId);
            assert.equal(ack.status, 'ok', JSON.stringify(ack));
            return ack;
        } catch (error) {
            if (!/timed out|disconnected/.test(error.message)) throw error;
        }
    }
}

promise('a_draining_gateway_says_so_at_once_and_serves_as_before_during_its_delay', { of: stack }, async (t) => {
    const [gateway] = stack.gateways;
    await restart(gateway, { DRAIN_DELAY: '10m' });
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    askToEnd(gateway);
    await eventually(() => isDraining(gateway), 'the gateway to drain');

    const bert = await someoneIn(t, stack.urls[0], { room });
    assert.equal((await anna.say('still here')).id, '1');
    assert.equal((await bert.say('just come')).id, '2');
    for (const person of [anna, bert]) {
        await person.hasSeen(2);
        assert.deepEqual(person.leaves, []);
    }
    const { headers, status } = await request(gateway.url, '/', { agent: new http.Agent({ keepAlive: true }) });
    assert.equal(status, 200);
    assert.equal(headers.connection, 'keep-alive');

    // The second signal does not wait for the delay.
    askToEnd(gateway);
    assert.deepEqual(await end(gateway), ENDED_WELL);
    await gateway.start();
    for (const person of [anna, bert]) assert.equal((await person.joined(2)).recovered, true);
});

promise('after_its_delay_nobody_new_comes_in_and_connections_close_with_their_answer', { of: stack }, async (t) => {
    const [gateway] = stack.gateways;
    await restart(gateway, { DRAIN_DELAY: '1s', DRAIN: '10m' });
    const agents = [0, 1].map(() => new http.Agent({ keepAlive: true, maxSockets: 1 }));
    t.after(() => agents.forEach((agent) => agent.destroy()));
    for (const agent of agents) assert.equal((await request(gateway.url, '/', { agent })).headers.connection, 'keep-alive');
    // Someone has to stay, or it would be over at once.
    const anna = await someoneIn(t, gateway.url, { room: freshRoom() });
    askToEnd(gateway);
    await gateway.child.line(/^event=drain_closing /);

    await assert.rejects(request(gateway.url, '/'), /ECONNREFUSED/);
    const refused = await request(gateway.url, HANDSHAKE, { agent: agents[0] });
    assert.equal(refused.status, 503);
    assert.match(refused.headers['retry-after'], /^\d+$/);
    assert.equal(refused.headers.connection, 'close');
    const page = await request(gateway.url, '/', { agent: agents[1] });
    assert.equal(page.status, 200);
    assert.equal(page.headers.connection, 'close');

    // Those who are there are served, and when they have left, it is over.
    assert.equal((await anna.say('still here')).id, '1');
    anna.goHome();
    assert.deepEqual(await end(gateway), ENDED_WELL);
    await gateway.start();
});

promise('a_waiting_poll_is_answered_when_its_session_is_closed', { of: stack }, async (t) => {
    const [gateway] = stack.gateways;
    await restart(gateway, { DRAIN: '100ms' });
    const polling = await Polling.open(t, { url: gateway.url, path: '/socket.io/' });
    const waiting = polling.get();
    await eventually(async () => (await metric(gateway, 'parley_clients')) === 1, 'the session to be there');
    askToEnd(gateway);
    const { status, headers, text } = await waiting;
    assert.equal(status, 200);
    assert.equal(text, '1');
    assert.equal(headers.connection, 'close');
    assert.deepEqual(await end(gateway), ENDED_WELL);
    await gateway.start();
});

promise('what_is_in_flight_is_answered_before_the_connection_is_closed', { of: stack }, async (t) => {
    const [gateway, other] = stack.gateways;
    const room = freshRoom('past');
    const past = await someoneIn(t, other.url, { room });
    await Promise.all(range(1, 620).map((n) => past.say(`text ${n}`)));
    await restart(gateway, { DRAIN: '0ms' });
    const door = await stack.door(0);
    const sender = await someoneIn(t, door.url, { room: freshRoom() });
    const reader = await someoneIn(t, door.url, { room, auth: { serverOffset: 620 } });
    const idle = await someoneIn(t, door.url, { room: freshRoom() });

    await stack.postgres.pause();
    const waiting = [
        sender.say('in flight'),
        reader.socket.timeout(20_000).emitWithAck('chat history', { before: 100, limit: 1 }),
    ];
    const story = [];
    const [saying, asking] = waiting;
    saying.then(() => story.push('sender answered'));
    asking.then(() => story.push('reader answered'));
    sender.socket.on('disconnect', () => story.push('sender left'));
    reader.socket.on('disconnect', () => story.push('reader left'));
    await eventually(async () => (await metric(gateway, 'parley_messages_received_total')) === 1, 'the message to arrive');
    door.leadTo(() => other.port);
    askToEnd(gateway);
    await idle.left();
    assert.deepEqual(story, [], 'who waits for an answer is held');
    await stack.postgres.resume();
    const [ack, page] = await Promise.all(waiting);
    assert.deepEqual(ack, { status: 'ok', id: '1', duplicate: false });
    assert.deepEqual(page.messages.map(({ content }) => content), ['text 99']);
    assert.deepEqual(await end(gateway), ENDED_WELL);
    await Promise.all([sender.left(), reader.left()]);
    for (const who of ['sender', 'reader'])
        assert.deepEqual(story.filter((line) => line.startsWith(who)), [`${who} answered`, `${who} left`]);
    for (const person of [sender, reader, idle]) assert.equal((await person.joined(2)).recovered, true);
    await gateway.start();
});

promise('two_hundred_clients_move_to_another_gateway_one_by_one_and_miss_nothing', { of: stack, timeoutMs: 120_000 }, async (t) => {
    const [gateway, other] = stack.gateways;
    const drainMs = 6000;
    await restart(gateway, { DRAIN: `${drainMs}ms`, DRAIN_DELAY: '300ms' });
    const room = freshRoom();
    const door = await stack.door(0);
    const speaker = await someoneIn(t, other.url, { room, auth: { username: 'speaker' } });
    const people = await Promise.all(
        range(1, 200).map((n) => someoneIn(t, door.url, { room, auth: { username: `person ${n}` } })),
    );

    // The one who stays speaks all the time, and so do ten of those who have to move.
    const talkers = [speaker, ...people.slice(0, 10)];
    let goesOn = true;
    const talks = talkers.map(async (person) => {
        let said = 0;
        while (goesOn) {
            await sayForCertain(person, `${said}`);
            said++;
        }
        return said;
    });
    await speaker.hasCounted(50);
    door.leadTo(() => other.port);
    askToEnd(gateway);
    assert.deepEqual(await end(gateway), ENDED_WELL);
    for (const person of people) assert.equal((await person.joined(2)).recovered, true);
    goesOn = false;
    const said = (await Promise.all(talks)).reduce((sum, count) => sum + count, 0);

    for (const person of [speaker, ...people]) {
        await person.hasSeen(said);
        person.sawExactly(1, said);
        assert.ok(person.joins.length <= 2, 'moved once');
        assert.deepEqual(person.gaps, []);
    }
    const rows = await stack.rows(
        'SELECT m.id FROM messages m JOIN rooms r ON r.id = m.room_id WHERE r.name = $1 ORDER BY m.id',
        [room],
    );
    assert.deepEqual(rows.map(({ id }) => Number(id)), range(1, said), 'stored once each');

    // Evenly: the idle ones in DRAIN; of those who never stop talking, a part after it, before the patience with them ends.
    const [closing] = loggedAt(gateway, /^event=drain_closing /);
    const closedAt = loggedAt(gateway, /^event=client_disconnected .* reason=server/);
    assert.equal(closedAt.length, people.length, 'by the gateway, each');
    const quarters = range(0, 3).map(
        (quarter) => closedAt.filter((at) => Math.min(3, Math.floor(((at - closing) * 4) / drainMs)) === quarter).length,
    );
    for (const count of quarters) assert.ok(count > 25 && count < 75, `a quarter of the clients in each quarter: ${quarters}`);
    const [stopped] = loggedAt(gateway, /^event=stopped /);
    assert.ok(stopped - closing <= drainMs + 6000, 'in bounded time');
    await gateway.start();
});

promise('a_replica_that_is_asked_to_end_keeps_nobody_waiting', { of: stack, timeoutMs: 120_000 }, async (t) => {
    const people = await Promise.all(
        range(1, 20).map((n) => someoneIn(t, stack.urls[n % 2], { room: freshRoom(), auth: { username: `person ${n}` } })),
    );
    const repeated = () => Promise.all(stack.gateways.map((gateway) => metric(gateway, 'parley_appends_repeated_total')));
    await Promise.all(people.map((person) => person.say('hello')));
    const before = await repeated();
    let goesOn = true;
    const talks = people.flatMap((person) =>
        range(1, 4).map(async () => {
            for (let said = 0; ; said++) {
                if (!goesOn) return said;
                assert.equal((await person.say(`${said}`)).status, 'ok');
            }
        }),
    );
    for (const store of stack.stores) {
        const begun = people[0].ids.length;
        await people[0].hasCounted(begun + 50);
        assert.deepEqual(await store.stop(), ENDED_WELL);
        assert.ok(!store.child.text('err').includes('drain_cut_short'));
        await people[0].hasCounted(people[0].ids.length + 50);
        await store.start();
    }
    goesOn = false;
    const said = (await Promise.all(talks)).reduce((sum, count) => sum + count, people.length);
    // A request that meets nobody, or that nobody answers, is sent again: there was none.
    assert.deepEqual(await repeated(), before);
    const seen = people.reduce((sum, person) => sum + person.ids.length, 0);
    assert.equal(seen, said);
    for (const person of people) {
        person.sawExactly(1, person.ids.length);
        assert.deepEqual(person.errors, []);
    }
});

promise('a_draining_store_says_so_and_a_second_signal_ends_it_at_once', { of: stack }, async (t) => {
    const [store, other] = stack.stores;
    await other.stop(); // so that this one gets the message
    const anna = await someoneIn(t, stack.urls[0], { room: freshRoom() });
    await anna.say('before');
    await stack.postgres.pause();
    const ack = anna.say('during');
    await eventually(async () => (await metric(store, 'parley_store_append_wait_seconds_count')) > 0, 'the message to arrive');
    askToEnd(store);
    await eventually(() => isDraining(store), 'the store to drain');
    askToEnd(store);
    assert.deepEqual(await end(store), ENDED_WELL);
    assert.match(store.child.text('err'), /^event=drain_cut_short /m);
    await stack.postgres.resume();
    await Promise.all([store.start(), other.start()]);
    assert.equal((await ack).id, '2');
    anna.sawExactly(1, 2);
});

for (const [what, takeAway, bringBack] of [
    ['is_down', () => stack.postgres.stop('immediate'), () => stack.postgres.start()],
    ['is_frozen', () => stack.postgres.pause(), () => stack.postgres.resume()],
]) {
    promise(`a_store_ends_in_bounded_time_when_postgres_${what}`, { of: stack }, async (t) => {
        const people = await Promise.all(range(1, 8).map((n) => someoneIn(t, stack.urls[n % 2], { room: freshRoom() })));
        await Promise.all(people.map((person) => person.say('before')));
        await takeAway();
        const acks = people.map((person) => sayForCertain(person, 'during'));
        for (const store of stack.stores) askToEnd(store);
        for (const store of stack.stores) {
            assert.deepEqual(await end(store), ENDED_WELL);
            assert.ok(!store.child.text('err').includes('drain_cut_short'), 'by itself, and not since it took too long');
        }
        await bringBack();
        await Promise.all(stack.stores.map((store) => store.start()));
        for (const ack of await Promise.all(acks)) assert.equal(ack.id, '2');
        for (const person of people) {
            await person.hasSeen(2);
            person.sawExactly(1, 2);
        }
    });
}

promise('both_end_in_bounded_time_when_NATS_is_gone', { of: stack }, async (t) => {
    const anna = await someoneIn(t, stack.urls[0], { room: freshRoom() });
    await anna.say('before');
    await stack.nats.kill();
    const programs = [...stack.stores, ...stack.gateways];
    for (const program of programs) askToEnd(program);
    for (const program of programs) assert.deepEqual(await end(program), ENDED_WELL);
    await stack.nats.start();
    await Promise.all(programs.map((program) => program.start()));
    assert.equal((await anna.joined(2)).recovered, true);
    assert.equal((await anna.say('after')).id, '2');
});
