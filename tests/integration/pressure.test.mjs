/**
 * More than a part can take: senders that are faster than the store, a store that is faster than NATS, a NATS that is
 * faster than a gateway, members that do not read. Each send ends in an outcome, memory stays bounded, others are served,
 * and when the pressure is gone nobody has lost anything.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { Child } from './harness/child.mjs';
import { memoryOf, metric, metricSum } from './harness/memory.mjs';
import { BIN_DIR, Gateway } from './harness/parley.mjs';
import { range, someoneIn } from './harness/person.mjs';
import { Polling } from './harness/polling.mjs';
import { promise } from './harness/promise.mjs';
import { RawWebSocket } from './harness/raw_websocket.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const MIB = 1024 * 1024;
const ROOM_LOG_BYTES_MAX = 1 * MIB;

const stack = ownStack({
    gateways: 2,
    stores: 1,
    gatewayEnv: { SEND_DEADLINE: '3s', ROOM_LOG_BYTES_MAX: String(ROOM_LOG_BYTES_MAX) },
    storeEnv: { WRITE_LANES: '1' },
});

/** A message on its way, until its sender has heard of it. */
function emit(person, content) {
    const send = { content, clientId: randomUUID(), ack: null };
    person.socket.emit('chat message', content, send.clientId, (ack) => {
        send.ack = ack;
        person.changed();
    });
    return send;
}

function hasEnded(person, send) {
    return send.ack !== null || person.errors.some((error) => error.clientId === send.clientId);
}

/** Waits until each send was acknowledged or refused; those that were not stored are sent again, and must be. */
async function settle(person, sends) {
    let ended = 0;
    await person.until(
        () => {
            while (ended < sends.length && hasEnded(person, sends[ended])) ended++;
            return ended === sends.length;
        },
        () => `an outcome of send ${ended + 1} of ${sends.length}`,
    );
}

async function storeTheRest(person, sends) {
    for (const send of sends.filter((send) => send.ack === null)) send.ack = await person.say(send.content, send.clientId);
    for (const send of sends) assert.equal(send.ack.status, 'ok', JSON.stringify(send.ack));
}

/** Says all of it at once, and again what a busy machine did not store in time. */
async function sayAll(person, contents) {
    const sends = contents.map((content) => emit(person, content));
    await settle(person, sends);
    await storeTheRest(person, sends);
}

/** Each of `count` messages once in the database, and before each of these people once and in order. */
async function allHaveAll(room, people, count) {
    const rows = await stack.rows(
        'SELECT m.id::int, m.client_id FROM messages m JOIN rooms r ON r.id = m.room_id WHERE r.name = $1 ORDER BY m.id',
        [room],
    );
    assert.deepEqual(rows.map((row) => row.id), range(1, count));
    assert.equal(new Set(rows.map((row) => row.client_id)).size, count);
    for (const person of people) {
        await person.hasSeen(count);
        person.sawExactly(1, count);
    }
}

promise('a_flood_while_Postgres_is_frozen_ends_in_outcomes_and_all_of_it_is_stored_once_later', { of: stack }, async (t) => {
    const room = freshRoom();
    const people = await Promise.all(range(0, 19).map((n) => someoneIn(t, stack.urls[n % 2], { room })));
    await stack.postgres.pause();
    // 20 x 150 x 4 KiB: more than a room's queue takes, and more than fits into an append.
    const text = 'x'.repeat(4096);
    const sends = people.map((person, p) => range(1, 150).map((n) => emit(person, `${p}-${n} ${text}`)));
    await Promise.all(people.map((person, p) => settle(person, sends[p])));
    const codes = new Set(people.flatMap((person) => person.errors.map((error) => error.code)));
    assert.deepEqual([...codes].sort(), ['overloaded', 'unavailable']);
    for (const gateway of stack.gateways)
        assert.ok(metric(await gateway.metrics(), 'parley_messages_waiting_bytes') < 64 * MIB);
    await stack.postgres.resume();
    await Promise.all(people.map((person, p) => storeTheRest(person, sends[p])));
    await allHaveAll(room, people, 20 * 150);
    for (const gateway of stack.gateways)
        await eventually(async () => metric(await gateway.metrics(), 'parley_messages_waiting_bytes') === 0, 'no message to wait');
});

promise('a_NATS_that_freezes_while_the_store_commits_costs_only_time', { of: stack }, async (t) => {
    const room = freshRoom();
    const people = await Promise.all(range(0, 7).map((n) => someoneIn(t, stack.urls[n % 2], { room })));
    const sends = people.map(() => []);
    const isSending = people.map(async (person, p) => {
        for (const n of range(1, 100)) {
            sends[p].push(emit(person, `${p}-${n}`));
            if (n % 10 === 0) await settle(person, sends[p]);
        }
    });
    await people[0].hasCounted(100);
    stack.nats.child.signal('SIGSTOP');
    await Promise.all(people.map((person) => person.until(() => person.errors.length > 0, 'a chat error')));
    for (const program of [...stack.gateways, ...stack.stores])
        await eventually(async () => !(await fetch(`${program.adminUrl}/readyz`)).ok, `${program.name} to miss NATS`);
    stack.nats.child.signal('SIGCONT');
    await Promise.all(isSending);
    await Promise.all(people.map((person, p) => settle(person, sends[p])));
    await Promise.all(people.map((person, p) => storeTheRest(person, sends[p])));
    await allHaveAll(room, people, 8 * 100);
    for (const person of people) assert.equal(person.leaves.length, 0);
});

/** Freezes the second gateway while 20,000 messages are stored, and more until that `isEnough`; its member must get them all. */
async function standStill(t, isEnough = () => true) {
    const room = freshRoom();
    const [, frozen] = stack.gateways;
    const bert = await someoneIn(t, stack.urls[1], { room });
    const people = await Promise.all(range(1, 4).map(() => someoneIn(t, stack.urls[0], { room, auth: { echo: false } })));
    frozen.child.signal('SIGSTOP');
    const text = 'y'.repeat(500);
    let count = 0;
    while (count < 20_000 || !isEnough()) {
        assert.ok(count < 200_000, `enough after ${count} messages`);
        await Promise.all(people.map((person) => sayAll(person, range(1, 500).map((n) => `${count}-${n} ${text}`))));
        count += 500 * people.length;
    }
    frozen.child.signal('SIGCONT');
    await bert.hasSeen(count);
    bert.sawExactly(1, count);
    assert.equal(bert.gaps.length, 0);
    const { heap } = await memoryOf(frozen);
    assert.ok(heap < 128 * MIB, `memory is bounded: ${heap}`);
}

promise('a_gateway_that_stood_still_while_20000_broadcasts_came_gives_all_of_them_to_its_members', { of: stack }, (t) => standStill(t));

promise('a_gateway_that_NATS_cut_off_since_it_was_too_slow_loses_nothing', { of: stack }, async (t) => {
    const file = stack.file('slow-consumer.conf');
    await writeFile(file, 'max_pending: 2MB\nmax_payload: 1MB\nwrite_deadline: "1s"\n');
    await stack.nats.kill();
    await stack.nats.start(['-c', file]);
    for (const program of [...stack.gateways, ...stack.stores]) await program.ready();
    const before = metric(await stack.gateways[1].metrics(), 'parley_nats_reconnects_total');
    await standStill(t, () => stack.nats.child.lines.some(({ text }) => /Slow Consumer/i.test(text)));
    assert.ok(metric(await stack.gateways[1].metrics(), 'parley_nats_reconnects_total') > before, 'NATS has cut it off');
    await stack.nats.kill();
    await stack.nats.start();
    for (const program of [...stack.gateways, ...stack.stores]) await program.ready();
});

// Whoever reads a gateway's log can stop its loop; NATS goes on.
promise('a_gateway_whose_loop_stands_still_drops_what_its_mailbox_does_not_hold_and_fetches_it_later', { of: stack }, async (t) => {
    const room = freshRoom();
    const gateway = stack.adopt(new Gateway('silent', { ...stack.gateways[0].env, ACCESS_LOG: 'combined' }));
    await gateway.start();
    const bert = await someoneIn(t, gateway.url, { room });
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { echo: false } });
    const pipe = gateway.child.process.stdout;
    pipe.pause();
    const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
    const ask = () => http.get(`${gateway.url}/healthy`, { agent }, (answer) => answer.resume()).on('error', () => {});
    const isMoving = () => fetch(`${gateway.adminUrl}/healthz`, { signal: AbortSignal.timeout(3000) }).then(() => true, () => false);
    do for (const _ of range(1, 500)) ask();
    while (await isMoving()); // until the pipe is full
    const text = 'x'.repeat(16_000);
    const count = 5500; // 84 MiB, and the mailbox holds 64
    for (let n = 0; n < count; n += 100) await sayAll(anna, range(1, 100).map((m) => `${n + m} ${text}`));
    pipe.resume();
    agent.destroy();
    await bert.hasSeen(count);
    bert.sawExactly(1, count);
    const metrics = await gateway.metrics();
    assert.ok(metric(metrics, 'parley_mailbox_dropped_total') > 0, 'some did not fit');
    assert.equal(metric(metrics, 'parley_mailbox_bytes'), 0);
    await gateway.stop();
});

promise('a_NATS_that_takes_too_little_counts_as_none_until_it_takes_enough', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const file = stack.file('max-payload.conf');
    await writeFile(file, 'max_payload: 64KB\n');
    await stack.nats.kill();
    await stack.nats.start(['-c', file]);
    const programs = [...stack.gateways, ...stack.stores];
    const says = async (program) => (await fetch(`${program.adminUrl}/readyz`)).text();
    for (const program of programs) {
        await program.child.line(/nats_max_payload_too_small/);
        await eventually(async () => /max_payload/.test(await says(program)), `${program.name} to name max_payload`);
    }
    const large = range(1, 30).map((n) => emit(anna, `${n} ${'z'.repeat(8000)}`));
    await settle(anna, large);
    assert.deepEqual([...new Set(anna.errors.map((error) => error.code))], ['unavailable']);
    // Configured anew, without a restart: as a cluster's operator would.
    await writeFile(file, 'max_payload: 1MB\n');
    stack.nats.child.signal('SIGHUP');
    for (const program of programs) await program.ready();
    await storeTheRest(anna, large);
    await allHaveAll(room, [anna], 30);
    // And back: whoever says too much for it is cut off, and finds out.
    await writeFile(file, 'max_payload: 64KB\n');
    stack.nats.child.signal('SIGHUP');
    await stack.nats.child.until(
        () => stack.nats.child.lines.filter(({ text }) => /max_payload = 65536/.test(text)).length === 1,
        'NATS to be configured anew',
    );
    // While Postgres does not answer, all but the first wait, and then go together.
    await stack.postgres.pause();
    const again = range(31, 60).map((n) => emit(anna, `${n} ${'z'.repeat(8000)}`));
    const waiting = async () => metric(await stack.gateways[0].metrics(), 'parley_messages_waiting');
    await eventually(async () => (await waiting()) === again.length, 'all of them to wait');
    await stack.postgres.resume();
    await eventually(async () => /max_payload/.test(await says(stack.gateways[0])), 'the gateway to name max_payload');
    await settle(anna, again);
    await stack.nats.kill();
    await stack.nats.start();
    for (const program of programs) await program.ready();
    await storeTheRest(anna, again);
    await allHaveAll(room, [anna], 60);
});

promise('a_flood_in_one_room_leaves_another_one_served', { of: stack }, async (t) => {
    const flooded = freshRoom().replace('-', '');
    const quiet = freshRoom('quiet');
    const people = [await someoneIn(t, stack.urls[0], { room: quiet }), await someoneIn(t, stack.urls[1], { room: quiet })];
    const addresses = stack.gateways.map((gateway) => `127.0.0.1:${gateway.port}`).join(',');
    const senders = ['--members', '50', '--senders', '50', '--window', '20', '--body', '500', '--echo', 'off'];
    const flood = new Child('load', path.join(BIN_DIR, 'parley-load'), [
        ...['ack', '--connect', addresses, ...senders, '--room', flooded, '--warmup', '0', '--seconds', '600'],
    ]);
    t.after(() => flood.end('SIGKILL'));
    const head = async () => {
        const rows = await stack.rows('SELECT max(head)::int AS head FROM rooms WHERE name LIKE $1', [`${flooded}%`]);
        return rows[0].head ?? 0;
    };
    await eventually(async () => (await head()) > 1000, 'a flood');
    const before = await head();
    for (const n of range(1, 200)) assert.equal((await people[n % 2].say(`${n}`)).status, 'ok');
    assert.ok(flood.isRunning);
    assert.ok((await head()) - before > 200, 'the flood went on');
    for (const person of people) {
        await person.hasSeen(200);
        person.sawExactly(1, 200);
        assert.deepEqual(person.errors, []);
    }
});

promise('members_that_read_nothing_cost_no_more_than_their_rooms_log', { of: stack }, async (t) => {
    const [gateway] = stack.gateways;
    const room = freshRoom();
    const stalled = await Promise.all(range(1, 200).map(() => RawWebSocket.join(t, gateway.url, room)));
    for (const member of stalled) member.socket.pause();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const text = 'x'.repeat(4000);
    let said = 0;
    const talk = async (bytes) => {
        for (const end = said + bytes / text.length; said < end; said += 50)
            await sayAll(anna, range(1, 50).map((n) => `${said + n} ${text}`));
    };
    const slow = async () => metric(await gateway.metrics(), 'parley_slow_clients');
    while ((await slow()) < stalled.length) await talk(MIB);
    await talk(2 * ROOM_LOG_BYTES_MAX); // the log is full, and has forgotten what the stalled ones want next
    const before = await memoryOf(gateway);
    await talk(16 * MIB);
    const after = await memoryOf(gateway);
    assert.ok(after.heap - before.heap < ROOM_LOG_BYTES_MAX, `from ${before.heap} to ${after.heap}`);
    assert.ok(after.outbox < stalled.length * 2 * text.length, `the rest of a frame each: ${after.outbox}`);
    anna.sawExactly(1, said);
    // Who reads again gets all of it, from the store, at its own pace.
    const [sleeper] = stalled;
    sleeper.socket.resume();
    const idOf = (packet) => Number(JSON.parse(packet.slice(`42/${room},`.length))[2]);
    for (const n of range(1, said)) assert.equal(idOf(await sleeper.text()), n);
});

promise('members_that_do_not_read_or_poll_are_closed_when_their_heartbeat_ends', { of: stack }, async (t) => {
    const [gateway] = stack.gateways;
    await gateway.stop();
    await gateway.start({ PING_INTERVAL: '300ms', PING_TIMEOUT: '200ms' });
    const room = freshRoom();
    const raw = await RawWebSocket.join(t, gateway.url, room);
    raw.socket.pause();
    const polling = await Polling.open(t, { url: gateway.url, path: '/socket.io/' });
    await polling.post(`40/${room},`);
    const closed = (metrics) => metric(metrics, 'parley_sessions_closed_total\\{reason="ping_timeout"\\}');
    await eventually(async () => closed(await gateway.metrics()) >= 2, 'both to be closed');
    await eventually(async () => metricSum(await gateway.metrics(), 'parley_sessions') === 0, 'nobody to be left');
    await gateway.stop();
    await gateway.start();
});
