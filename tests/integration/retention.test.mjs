/**
 * Old messages leave after RETENTION_DAYS, in small steps, and nobody is hurt by it.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { BIN_DIR } from './harness/parley.mjs';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const DAYS = 30;

const stack = ownStack({ stores: 2, storeEnv: { RETENTION_DAYS: String(DAYS) }, gatewayEnv: { ROOM_GRACE: '0ms' } });

/** More than one step of the expiry. */
const OLD = 2500;
const NEW = 20;

/** A room of which the first messages are older than is kept, by a minute, and the others younger, by a minute. */
async function agedRoom(t, old, young) {
    const room = freshRoom();
    const bert = await someoneIn(t, stack.urls[0], { room, auth: { echo: false } });
    for (const n of range(1, old + young)) {
        const ack = bert.say(`${n}`);
        if (n % 500 === 0 || n === old + young) await ack;
    }
    bert.goHome();
    await age(room, old);
    return room;
}

/** One statement, so that no round sees half of it. */
async function age(room, old) {
    await stack.rows(
        `UPDATE messages SET created_at = now() - interval '${DAYS} days'
             + CASE WHEN messages.id <= $2 THEN -interval '1 minute' ELSE interval '1 minute' END
         FROM rooms WHERE rooms.id = room_id AND name = $1`,
        [room, old],
    );
}

const idsOf = async (room) => {
    const sql = 'SELECT m.id::int AS id FROM messages m JOIN rooms r ON r.id = room_id WHERE name = $1 ORDER BY m.id';
    return (await stack.rows(sql, [room])).map(({ id }) => id);
};

/** A round begins when a store does. */
async function beginRound() {
    for (const store of stack.stores) {
        await store.kill();
        await store.start();
    }
}

const deletedIn = async (store) => Number((await store.metrics()).match(/^parley_store_messages_expired_total (\d+)/m)[1]);

promise('what_is_older_leaves_and_what_is_younger_stays', { of: stack }, async (t) => {
    const [aged, young, old] = [await agedRoom(t, OLD, NEW), await agedRoom(t, 0, NEW), await agedRoom(t, NEW, 0)];
    await beginRound();
    await eventually(async () => (await idsOf(aged)).length === NEW && (await idsOf(old)).length === 0, 'the old ones to leave');
    assert.deepEqual(await idsOf(aged), range(OLD + 1, OLD + NEW));
    assert.deepEqual(await idsOf(young), range(1, NEW));

    // One replica did it, for all.
    const counts = await Promise.all(stack.stores.map(deletedIn));
    assert.equal(Math.max(...counts), OLD + NEW);
    assert.equal(Math.min(...counts), 0);

    // Who wants all of it is told what is not kept; what is said goes on behind what was.
    const anna = await someoneIn(t, stack.urls[0], { room: aged, auth: { serverOffset: 0 } });
    await anna.hasSeen(OLD + NEW);
    anna.sawExactly(OLD + 1, OLD + NEW);
    assert.deepEqual(anna.gaps.map(({ from, to, reason }) => [Number(from), Number(to), reason]), [[1, OLD, 'retention']]);
    const page = await anna.socket.emitWithAck('chat history', { before: OLD + 5, limit: 100 });
    assert.deepEqual([page.messages.map(({ id }) => Number(id)), page.more], [range(OLD + 1, OLD + 4), false]);
    assert.equal((await anna.say('and on')).id, String(OLD + NEW + 1));
    const late = await someoneIn(t, stack.urls[1], { room: old });
    assert.equal((await late.say('the first that is left')).id, String(NEW + 1));

    const check = promisify(execFile)(path.join(BIN_DIR, 'parley-store'), ['--check'], { env: { DATABASE_URL: stack.postgres.url } });
    await check; // the log is whole
});

promise('people_who_talk_meanwhile_lose_nothing', { of: stack }, async (t) => {
    const room = await agedRoom(t, OLD, 0);
    const people = await Promise.all(stack.urls.map((url) => someoneIn(t, url, { room, auth: { serverOffset: OLD } })));
    await beginRound();
    const each = 100;
    await Promise.all(people.map(async (person) => {
        for (const n of range(1, each)) await person.say(`${n}`);
    }));
    await eventually(async () => (await idsOf(room))[0] > OLD, 'the old ones to leave');
    for (const person of people) {
        await person.hasSeen(OLD + 2 * each);
        person.sawExactly(OLD + 1, OLD + 2 * each);
    }
    assert.deepEqual(await idsOf(room), range(OLD + 1, OLD + 2 * each));
});

promise('without_RETENTION_DAYS_everything_stays', { of: stack }, async (t) => {
    const room = await agedRoom(t, NEW, 0);
    const other = await agedRoom(t, NEW, 0);
    for (const store of stack.stores) await store.kill();
    await stack.stores[0].start({ RETENTION_DAYS: '0' });
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { serverOffset: 0 } });
    await anna.hasSeen(NEW);
    assert.match(await stack.stores[0].metrics(), /^parley_store_messages_expired_total 0$/m);
    await stack.stores[0].kill();
    // It is the setting that made the difference.
    for (const store of stack.stores) await store.start();
    await eventually(async () => (await idsOf(other)).length === 0, 'the old ones to leave');
});
