/**
 * A standby takes over from the primary. DATABASE_URL names both, and nothing is told or restarted.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Postgres } from './harness/postgres.mjs';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, Stack } from './harness/stack.mjs';
import { eventually, within } from './harness/wait.mjs';

const needs = { skip: process.env.PARLEY_URLS ? 'needs a stack of its own' : false, timeoutMs: 120_000 };

/** A send that was not answered in this time is sent again, ms. As in the tutorial. */
const ANSWER_MS = 10_000;

/** A stack on a primary and its standby; the standby is the second of DATABASE_URL's hosts. */
async function pair(t, { synchronous }) {
    const stack = new Stack();
    t.after(() => stack.stop());
    await stack.start({ gateways: 2, stores: 2 });
    const primary = stack.postgres;
    const standby = await stack.standby();
    if (synchronous) await primary.set('synchronous_standby_names', '*');
    for (const store of stack.stores) {
        store.env.DATABASE_URL = Postgres.urlOf(primary, standby);
        await store.stop();
        await store.start();
    }
    return { stack, primary, standby, programs: [...stack.stores, ...stack.gateways].map(({ child }) => child) };
}

/** Sends as a client with retries does: again, with the same client id, until it is acknowledged. */
async function sayUntilAcknowledged(person, content) {
    const clientId = randomUUID();
    for (;;) {
        try {
            const ack = await person.socket.timeout(ANSWER_MS).emitWithAck('chat message', content, clientId);
            assert.equal(ack.status, 'ok', JSON.stringify(ack));
            return { clientId, id: Number(ack.id) };
        } catch (error) {
            if (!/timed out/.test(error.message)) throw error;
        }
    }
}

/** Talks without a pause until it is told to stop; then tells what was acknowledged. */
function talkOn(person) {
    const acknowledged = [];
    let goesOn = true;
    const ended = (async () => {
        while (goesOn) acknowledged.push(await sayUntilAcknowledged(person, 'still there?'));
    })();
    ended.catch(() => {}); // told where it is awaited
    return {
        acknowledged,
        stop: async () => {
            goesOn = false;
            await within(ended, 'the last acknowledgement', 4 * ANSWER_MS);
            return acknowledged;
        },
    };
}

async function storedIn(server, room) {
    return server.rows(
        `SELECT m.id::int, m.client_id AS "clientId" FROM messages m JOIN rooms r ON r.id = m.room_id
         WHERE r.name = $1 ORDER BY m.id`,
        [room],
    );
}

const epochsOf = async (server) => (await server.rows('SELECT count(*)::int AS count FROM epochs'))[0].count;

/** The same for every way in which a primary with a synchronous standby can go: nothing acknowledged is lost. */
async function failover(t, goAway) {
    const { stack, primary, standby, programs } = await pair(t, { synchronous: true });
    const room = freshRoom();
    const people = [];
    for (const url of [...stack.urls, ...stack.urls]) people.push(await someoneIn(t, url, { room }));
    const talkers = people.slice(0, 3).map(talkOn);
    await eventually(() => talkers.every(({ acknowledged }) => acknowledged.length >= 20), 'talk');
    const quiet = freshRoom('quiet');
    await sayUntilAcknowledged(await someoneIn(t, stack.urls[0], { room: quiet }), 'hello');

    await goAway(primary);
    await standby.promote();
    const since = performance.now();
    const counts = talkers.map(({ acknowledged }) => acknowledged.length);
    const goOn = () => talkers.every(({ acknowledged }, i) => acknowledged.length > counts[i] + 20);
    await eventually(goOn, 'talk to go on', 60_000);
    t.diagnostic(`everyone talks again ${((performance.now() - since) / 1000).toFixed(1)} s after the promotion`);
    const acknowledged = (await Promise.all(talkers.map((talker) => talker.stop()))).flat();

    const stored = await storedIn(standby, room);
    assert.deepEqual(stored.map(({ id }) => id), range(1, stored.length));
    assert.equal(new Set(stored.map(({ clientId }) => clientId)).size, stored.length, 'nothing is stored twice');
    for (const { clientId, id } of acknowledged) assert.equal(stored[id - 1]?.clientId, clientId);
    assert.equal(await epochsOf(standby), 2, 'another timeline is another epoch');
    // A gateway that has to ask, and lanes that have not been used since: they may not tell of the old server's log.
    for (const url of stack.urls) {
        const late = await someoneIn(t, url, { room: quiet, auth: { serverOffset: 0 } });
        await late.hasSeen(1);
        await sayUntilAcknowledged(late, 'hello, too');
        late.goHome();
    }
    assert.equal((await storedIn(standby, quiet)).length, 3);
    for (const person of people) {
        await person.hasSeen(stored.length);
        person.sawExactly(1, stored.length);
        assert.deepEqual(person.gaps, [], 'nobody saw what is lost');
        assert.equal(person.leaves.length, 0);
        for (const { code } of person.errors) assert.equal(code, 'unavailable');
    }
    for (const child of programs) assert.ok(child.isRunning, 'nothing had to be restarted');
    return { stack, standby, room };
}

promise('nothing_acknowledged_is_lost_when_the_primary_dies', needs, (t) =>
    failover(t, (primary) => primary.stop('immediate')),
);

promise('nothing_acknowledged_is_lost_when_the_primary_freezes', needs, (t) => failover(t, (primary) => primary.pause()));

promise('nothing_acknowledged_is_lost_when_the_primary_is_fenced', needs, async (t) => {
    let old;
    const { stack, standby, room } = await failover(t, async (primary) => {
        old = primary;
        await primary.set('default_transaction_read_only', 'on');
    });
    // It is there all the time, and answers: those who read must not be told what it knows.
    const [{ head }] = await old.rows('SELECT head::int FROM rooms WHERE name = $1', [room]);
    assert.ok(head < (await storedIn(standby, room)).length);
    await eventually(async () => {
        const sql = "SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name = 'parley-store'";
        const [{ count }] = await standby.rows(sql);
        return count >= 2 * stack.stores.length;
    }, 'the lanes to have gone over');
});

promise('who_saw_what_an_asynchronous_standby_lacks_is_told_and_nobody_else', needs, async (t) => {
    const { stack, primary, standby } = await pair(t, { synchronous: false });
    const room = freshRoom();
    const door = await stack.door(1);
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: 'anna' } });
    const away = await someoneIn(t, door.url, { room });
    await Promise.all(range(1, 10).map((n) => anna.say(`${n}`)));
    for (const person of [anna, away]) await person.hasSeen(10);
    await eventually(async () => (await storedIn(standby, room)).length === 10, 'the standby to have them');
    door.leadTo(() => null);
    door.cut();
    await away.left();
    const bert = await someoneIn(t, stack.urls[1], { room });
    await standby.stop('immediate');
    await Promise.all(range(11, 15).map((n) => anna.say(`${n} will be lost`)));
    for (const person of [anna, bert]) await person.hasSeen(15);

    await primary.stop('immediate');
    await standby.start();
    await standby.promote();
    const { id } = await sayUntilAcknowledged(anna, '11 again');
    assert.equal(id, 11);
    const lost = [[11, 15, 'epoch']];
    for (const person of [anna, bert]) {
        await person.until(() => person.contents.includes('11 again'), 'the first message of the new epoch');
        assert.deepEqual(person.ids, [...range(1, 15), 11]);
        assert.deepEqual(person.gaps.map(({ from, to, reason }) => [Number(from), Number(to), reason]), lost);
        assert.equal(person.leaves.length, 0);
    }
    door.leadTo(() => stack.doors[1].port);
    await away.joined(2);
    await away.hasSeen(11);
    away.sawExactly(1, 11);
    assert.deepEqual(away.gaps, [], 'who had seen no more than is there lost nothing');
    assert.equal(away.contents.at(-1), '11 again');
});

promise('a_commit_that_was_let_go_without_its_standby_is_not_acknowledged', needs, async (t) => {
    const { stack, primary, standby } = await pair(t, { synchronous: true });
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    await anna.say('before');
    await standby.pause();
    let isAcknowledged = false;
    const saying = sayUntilAcknowledged(anna, 'is this safe?').then((told) => {
        isAcknowledged = true;
        return told;
    });
    const waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'parley-store'";
    const letGo = async () => (await primary.rows(`SELECT pg_cancel_backend(pid) ${waiting}`)).length > 0;
    await eventually(letGo, 'the commit to wait for the standby');
    // It is sent again, is found, and that commit waits, too.
    await eventually(letGo, 'the repeat to wait for the standby');
    assert.equal(isAcknowledged, false);
    await standby.resume();
    assert.equal((await saying).id, 2);
    assert.equal((await storedIn(primary, room)).length, 2);
});

promise('a_standby_that_is_gone_does_not_use_up_the_connections_of_the_primary', needs, async (t) => {
    const { stack, primary, standby } = await pair(t, { synchronous: true });
    const people = [];
    for (const n of range(1, 12)) people.push(await someoneIn(t, stack.urls[n % 2], { room: freshRoom(`room-${n}`) }));
    await Promise.all(people.map((person) => person.say('before')));
    await standby.pause();
    // A commit that waits for the standby goes on to wait when its lane has given it up: lanes must not add to them.
    const saying = people.map((person) => sayUntilAcknowledged(person, 'is anybody there?'));
    for (const store of stack.stores) {
        const reason = async () => (await fetch(`${store.adminUrl}/readyz`)).text();
        await eventually(async () => /synchronous standby/.test(await reason()), `${store.name} to say what it waits for`);
    }
    const refused = () => people.every((person) => person.errors.length > 1);
    await eventually(refused, 'everyone to be told, twice', 60_000);
    const waiting = "SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'parley-store'";
    const lanes = 2 * stack.stores.length;
    assert.ok((await primary.rows(waiting)).length <= lanes, 'one for each lane that appends, at most');
    await standby.resume();
    for (const { id } of await Promise.all(saying)) assert.equal(id, 2);
});
