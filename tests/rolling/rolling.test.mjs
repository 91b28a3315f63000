/**
 * From the last release to this checkout and back, one process at a time, while people talk.
 *
 * scripts/rolling-test builds the last release and says where it is. Stores go first: so old gateways meet new stores and
 * the new schema, then new gateways do, new gateways meet old stores on the way back, and at the end the last release
 * runs alone on the new schema. At each step two versions of a service share the work.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readlink, realpath } from 'node:fs/promises';
import path from 'node:path';
import { Door } from '../integration/harness/door.mjs';
import { BIN_DIR } from '../integration/harness/parley.mjs';
import { range, someoneIn } from '../integration/harness/person.mjs';
import { promise } from '../integration/harness/promise.mjs';
import { freshRoom, ownStack } from '../integration/harness/stack.mjs';
import { eventually, within } from '../integration/harness/wait.mjs';

assert.ok(process.env.PARLEY_OLD_BIN_DIR, 'PARLEY_OLD_BIN_DIR names the last release: run scripts/rolling-test');
assert.ok(!process.env.PARLEY_URLS, 'this needs processes of its own');
const OLD = path.resolve(process.env.PARLEY_OLD_BIN_DIR);

const ROOMS = 4;
const PEOPLE_EACH = 8;
const TALKERS_EACH = 3;

/** Between two messages of one talker, ms: many more would take a room past what a newcomer is sent. */
const BREATH_MS = 40;

/** A send that was not answered in this time is sent again, ms. As in the tutorial. */
const ANSWER_MS = 10_000;

const stack = ownStack({ gateways: 2, stores: 2, binDir: OLD, gatewayEnv: { DRAIN: '2s' } });

/** Gateways that a balancer would send new connections to. */
const serving = new Set();

/** Someone who talks as a client with retries does: again with the same client id, until it is acknowledged. */
class Talker {
    /** @type {Map<string, string>} id by client id */
    acknowledged = new Map();
    retries = 0;
    #goesOn = true;

    constructor(person) {
        this.person = person;
        this.ended = this.#talk();
        this.ended.catch(() => {}); // told where it is awaited
    }

    /** Says nothing new. What is not acknowledged yet will be. */
    stop() {
        this.#goesOn = false;
    }

    get #isOnline() {
        return this.person.socket.active;
    }

    async #talk() {
        while (this.#goesOn) {
            await this.#say(randomUUID());
            await new Promise((resolve) => setTimeout(resolve, BREATH_MS));
        }
    }

    async #say(clientId) {
        while (this.#goesOn || this.#isOnline) {
            const sent = this.person.socket.timeout(ANSWER_MS).emitWithAck('chat message', 'how are you?', clientId);
            const ack = await sent.catch((error) => {
                if (!/timed out|disconnected/.test(error.message)) throw error;
                return null;
            });
            if (ack) {
                assert.equal(ack.status, 'ok', JSON.stringify(ack));
                this.acknowledged.set(clientId, ack.id);
                return;
            }
            this.retries++;
        }
    }
}

/** Waits until each of the talkers got some more acknowledgements. */
async function goOn(talkers) {
    const counts = talkers.map((talker) => talker.acknowledged.size + 5);
    const all = () => talkers.every((talker, i) => talker.acknowledged.size >= counts[i]);
    const failed = Promise.race(talkers.map((talker) => talker.ended));
    await Promise.race([eventually(all, 'everyone to go on talking', 30_000), failed]);
}

/** Ends a process and starts the other version of it. */
async function replace(program, binDir) {
    serving.delete(program);
    assert.deepEqual(await program.stop(), { code: 0, signal: null });
    program.binDir = binDir;
    await program.start();
    assert.equal(await readlink(`/proc/${program.child.pid}/exe`), await realpath(program.binary));
    if (stack.gateways.includes(program)) serving.add(program);
}

/** Newcomers on each gateway read a room from its beginning, live and page by page. */
async function newcomersReadAll(t, room) {
    for (const { url } of stack.gateways) {
        const person = await someoneIn(t, url, { room, auth: { username: 'newcomer', serverOffset: 0 } });
        const { id } = await within(person.say('hello'), 'an acknowledgement');
        await person.hasSeen(id);
        person.sawExactly(1, person.ids.length); // more may have come meanwhile
        assert.deepEqual(person.gaps, []);
        const page = await person.socket.timeout(ANSWER_MS).emitWithAck('chat history', { after: 0, limit: 50 });
        const told = page.messages.map((message) => [message.id, message.clientId]);
        assert.deepEqual(told, person.messages.slice(0, told.length).map(({ id: at, info }) => [at, info.clientId]));
        person.goHome();
    }
}

/** Since this version is everywhere, whoever asked is told of all people of the room. */
async function allKnowWhoIsHere(people) {
    const names = range(1, PEOPLE_EACH).map((n) => `person ${n}`);
    for (const { person } of people) await person.knowsPresent({ count: PEOPLE_EACH, names }, 60_000);
}

promise('the_last_release_and_this_one_work_together_and_nobody_notices_a_change', { timeoutMs: 240_000 }, async (t) => {
    for (const gateway of stack.gateways) serving.add(gateway);
    let next = 0;
    const balancer = await Door.open(() => {
        const up = [...serving];
        return up.length > 0 ? up[next++ % up.length].port : null;
    });
    t.after(() => balancer.close());
    const rooms = range(1, ROOMS).map(() => freshRoom('rolling'));
    const readers = freshRoom('read');
    const people = [];
    const talkers = [];
    t.after(() => talkers.forEach((talker) => talker.stop()));
    for (const room of [...rooms, readers]) {
        for (const n of range(1, PEOPLE_EACH)) {
            // Most come over a balancer; two in each room know one gateway only, and begin with long-polling.
            const byItself = n <= stack.gateways.length;
            const options = byItself ? { transports: ['polling', 'websocket'] } : {};
            const url = byItself ? stack.urls[n - 1] : balancer.url;
            const person = await someoneIn(t, url, {
                room,
                auth: { username: `person ${n}`, presence: true },
                options,
            });
            people.push({ person, room, byItself });
            // In the room that newcomers read, one is enough.
            if (n > PEOPLE_EACH - (room === readers ? 1 : TALKERS_EACH)) talkers.push(new Talker(person));
        }
        talkers.push(new Talker(people.at(-PEOPLE_EACH).person));
    }
    await goOn(talkers);

    const { stores, gateways } = stack;
    for (const [what, programs, binDir] of [
        ['stores to this version', stores, BIN_DIR],
        ['gateways to this version', gateways, BIN_DIR],
        ['stores back to the last release', stores, OLD],
        ['gateways back to the last release', gateways, OLD],
    ]) {
        for (const program of programs) {
            await replace(program, binDir);
            await goOn(talkers);
            await newcomersReadAll(t, readers);
        }
        if (programs === gateways && binDir === BIN_DIR) await allKnowWhoIsHere(people);
        const [{ count }] = await stack.rows('SELECT count(*) FROM schema_migrations');
        const told = talkers.reduce((sum, talker) => sum + talker.acknowledged.size, 0);
        t.diagnostic(`${what}: ${told} messages acknowledged so far, ${count} migrations applied`);
    }

    for (const talker of talkers) talker.stop();
    await Promise.all(talkers.map((talker) => within(talker.ended, 'the last acknowledgement', 2 * ANSWER_MS)));
    await judge(t, people, talkers, [...rooms, readers]);
    // What is new of this version's is no fault to the last one.
    for (const life of gateways.flatMap(({ lives }) => lives)) assert.doesNotMatch(life.text('err'), /malformed/);
});

async function judge(t, people, talkers, rooms) {
    const stored = new Map();
    for (const room of rooms) {
        const rows = await stack.rows(
            'SELECT m.id, m.client_id FROM messages m JOIN rooms r ON r.id = m.room_id WHERE r.name = $1 ORDER BY m.id',
            [room],
        );
        assert.deepEqual(rows.map(({ id }) => Number(id)), range(1, rows.length), 'ids are contiguous');
        for (const { id, client_id: clientId } of rows) {
            assert.ok(!stored.has(clientId), 'stored once');
            stored.set(clientId, id);
        }
        for (const { person } of people.filter((one) => one.room === room)) {
            await person.hasSeen(rows.length);
            person.sawExactly(1, rows.length);
            assert.deepEqual(person.messages.map(({ info }) => info.clientId), rows.map((row) => row.client_id));
        }
    }
    for (const { acknowledged } of talkers)
        for (const [clientId, id] of acknowledged) assert.equal(String(stored.get(clientId)), id, 'stored as acknowledged');
    for (const { person, byItself } of people) {
        const [, ...again] = person.joins;
        // Each gateway was replaced twice.
        assert.ok(again.length >= (byItself ? 2 : 1), 'had to move');
        for (const join of again) assert.equal(join.recovered, true);
        assert.deepEqual(person.gaps, []);
        for (const { code } of person.errors) assert.ok(['unavailable', 'overloaded'].includes(code), code);
    }
    const sum = (counts) => counts.reduce((all, count) => all + count, 0);
    t.diagnostic(
        `${stored.size} messages stored; ${people.length} people moved ${sum(people.map(({ person }) => person.joins.length - 1))} times; ` +
            `${sum(talkers.map(({ retries }) => retries))} sends were sent again, ${sum(people.map(({ person }) => person.errors.length))} chat errors`,
    );
}
