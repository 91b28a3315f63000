/**
 * Saying something from SQL: parley_publish(), in a transaction of the caller's own.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually, within } from './harness/wait.mjs';

const stack = ownStack({ stores: 2 });

/** How soon those in the room see what was committed, ms: what the page of operations says, and a shared machine. */
const SOON_MS = 1000;

/** An application with a connection of its own. */
async function application(t) {
    const client = new pg.Client({ connectionString: stack.postgres.url });
    await client.connect();
    t.after(() => client.end().catch(() => {}));
    const run = async (sql, values) => (await client.query(sql, values)).rows;
    return {
        run,
        publish: async (...values) =>
            Number((await run(`SELECT parley_publish(${values.map((_, i) => `$${i + 1}`)}) AS id`, values))[0].id),
    };
}

promise('what_is_published_in_SQL_is_seen_on_every_gateway_within_a_second', { of: stack }, async (t) => {
    const room = freshRoom();
    const people = await Promise.all(stack.urls.map((url) => someoneIn(t, url, { room })));
    const { publish } = await application(t);
    assert.equal(await publish(room, 'shop', 'Order 4711 was paid.'), 1);
    await Promise.all(people.map((person) => within(person.hasSeen(1), 'the message', SOON_MS)));
    for (const { messages } of people) {
        const [{ id, username, content }] = messages;
        assert.deepEqual({ id, username, content }, { id: '1', username: 'shop', content: 'Order 4711 was paid.' });
    }
    assert.equal((await people[0].say('thanks')).id, '2');
});

promise('it_is_the_callers_transaction_that_decides', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const { run, publish } = await application(t);
    await run('CREATE TABLE IF NOT EXISTS orders (id int)');
    await run('BEGIN');
    await run('INSERT INTO orders VALUES (1)');
    await publish(room, 'shop', 'never said');
    await run('ROLLBACK');
    await run('BEGIN');
    await run('INSERT INTO orders VALUES (2)');
    assert.deepEqual([await publish(room, 'shop', 'first'), await publish(room, 'shop', 'second')], [1, 2]);
    await run('COMMIT');
    await anna.hasSeen(2);
    assert.deepEqual(anna.contents, ['first', 'second']);
    assert.deepEqual(await run('SELECT id FROM orders'), [{ id: 2 }]);
    // What was rolled back has left nothing, and took no id.
    assert.equal((await anna.say('third')).id, '3');
});

promise('the_same_client_id_is_said_once', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const { publish } = await application(t);
    const clientId = randomUUID();
    assert.equal(await publish(room, 'shop', 'once', clientId), 1);
    assert.equal(await publish(room, 'shop', 'once', clientId), 1);
    assert.equal(await publish(room, 'shop', 'short', 'x'), 2);
    assert.equal(await publish(room, 'shop', 'short', 'x'), 3); // a short one counts within its transaction
    await anna.hasSeen(3);
    anna.sawExactly(1, 3);
});

promise('among_people_who_talk_the_order_is_one_and_without_holes', { of: stack }, async (t) => {
    const room = freshRoom();
    const people = await Promise.all(range(0, 3).map((i) => someoneIn(t, stack.urls[i % 2], { room })));
    const { publish } = await application(t);
    const each = 40;
    await Promise.all([
        ...people.map(async (person, p) => {
            for (const n of range(1, each)) await person.say(`${p}: ${n}`);
        }),
        (async () => {
            for (const n of range(1, each)) await publish(room, 'shop', `sql: ${n}`);
        })(),
    ]);
    const total = each * (people.length + 1);
    await Promise.all(people.map((person) => person.hasCounted(total)));
    for (const person of people) {
        person.sawExactly(1, total);
        assert.deepEqual(person.contents, people[0].contents);
        const own = person.contents.filter((content) => content.startsWith('sql: '));
        assert.deepEqual(own, range(1, each).map((n) => `sql: ${n}`));
    }
});

promise('what_is_published_while_no_store_runs_is_seen_when_one_does', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const { publish, run } = await application(t);
    for (const store of stack.stores) await store.kill();
    for (const n of range(1, 600)) await publish(room, 'shop', `${n}`);
    for (const store of stack.stores) await store.start();
    await anna.hasSeen(600);
    anna.sawExactly(1, 600);
    await eventually(async () => (await run('SELECT FROM unannounced')).length === 0, 'nothing more to be told');
});

promise('a_store_that_dies_or_freezes_while_it_tells_leaves_it_to_another_one', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const { publish } = await application(t);
    let last = 0;
    for (const store of stack.stores) {
        store.child.signal('SIGSTOP');
        last = await publish(room, 'shop', `while ${store.name} is frozen`);
        await anna.hasSeen(last);
        store.child.signal('SIGCONT');
        await store.kill();
        last = await publish(room, 'shop', `while ${store.name} is dead`);
        await anna.hasSeen(last);
        await store.start();
    }
    anna.sawExactly(1, last);
});

for (const [what, values, why] of [
    ['a_room_that_cannot_be', ['no such room', 'shop', 'x'], /no room can be called 'no such room'/],
    ['no_room', [null, 'shop', 'x'], /no room can be called NULL/],
    ['an_empty_sender', ['lobby', '', 'x'], /1 to 64 characters/],
    ['a_sender_of_65_characters', ['lobby', 'x'.repeat(65), 'x'], /1 to 64 characters/],
    ['a_sender_of_two_lines', ['lobby', 'a\nb', 'x'], /control characters/],
    ['an_empty_message', ['lobby', 'shop', ''], /1 to 65536 bytes/],
    ['a_message_of_a_byte_too_many', ['lobby', 'shop', 'x'.repeat(65537)], /1 to 65536 bytes/],
    ['a_client_id_of_65_bytes', ['lobby', 'shop', 'x', 'c'.repeat(65)], /1 to 64 bytes/],
])
    promise(`${what}_is_refused_with_a_sentence`, { of: stack }, async (t) => {
        const { publish } = await application(t);
        await assert.rejects(publish(...values), why);
    });

promise('a_role_needs_no_right_but_that_to_publish', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const { run, publish } = await application(t);
    await run(`DROP ROLE IF EXISTS shop`);
    await run(`CREATE ROLE shop`);
    await run(`SET ROLE shop`);
    await assert.rejects(publish(room, 'shop', 'not yet'), /permission denied/);
    await run(`RESET ROLE`);
    await run(`GRANT EXECUTE ON FUNCTION parley_publish(text, text, text, text) TO shop`);
    await run(`SET ROLE shop`);
    // A table of the caller's own does not stand in for ours.
    await run('CREATE TEMP TABLE unannounced (room_id bigint, id bigint)');
    await publish(room, 'shop', 'now');
    await within(anna.hasSeen(1), 'the message', SOON_MS);
    await assert.rejects(run('SELECT FROM messages'), /permission denied/);
    await run(`RESET ROLE`);
    await run(`REVOKE ALL ON FUNCTION parley_publish(text, text, text, text) FROM shop`);
    await run(`DROP ROLE shop`).catch(() => {});
});
