/**
 * What a user said is erased (parley-store --erase-user) while people are in the room, and what was said in a room is exported
 * (--export).
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const stack = ownStack({ gateways: 2, stores: 2 });

/** How soon gateways show nothing of it any more, ms, on a machine that is shared. */
const SOON_MS = 2000;

const parleyStore = (...args) =>
    promisify(execFile)(stack.stores[0].binary, args, { env: { DATABASE_URL: stack.postgres.url }, maxBuffer: 1 << 26 });

/** More than one page of what gateways read from the store, and than one piece of an export. */
const MANY = 600;

/** A name of its own, so that tests do not erase each other's messages. */
let names = 0;
const freshName = () => `user-${++names}-${process.pid}`;

/** Says so many messages, and waits for the last. */
async function sayMany(person, contents) {
    const acks = contents.map((content) => person.say(content));
    return (await Promise.all(acks)).at(-1);
}

/** All of the room, as `chat history` has it. */
async function historyOf(person) {
    const all = [];
    for (let more = true; more; ) {
        const page = await person.socket.timeout(5000).emitWithAck('chat history', { after: all.at(-1)?.id ?? 0, limit: 100 });
        assert.equal(page.status, 'ok');
        all.push(...page.messages);
        more = page.more;
    }
    return all;
}

const withoutText = (messages) => messages.map(({ id, at }) => ({ id, at }));

promise('what_a_user_said_is_shown_to_nobody_any_more_and_ids_stay', { of: stack }, async (t) => {
    const room = freshRoom();
    const [anna, bert] = [freshName(), freshName()];
    const people = await Promise.all([anna, bert].map((username, i) => someoneIn(t, stack.urls[i], { room, auth: { username } })));
    const door = await stack.door(1);
    const away = await someoneIn(t, door.url, { room });
    await people[0].say('1: secret');
    await people[1].say('2: kept');
    await away.hasSeen(2);
    door.leadTo(() => null);
    door.cut();
    await away.left();
    await sayMany(people[0], range(3, MANY).map((n) => `${n}: secret`));
    await people[1].say(`${MANY + 1}: kept`);
    await Promise.all(people.map((person) => person.hasSeen(MANY + 1)));
    const before = await Promise.all(people.map(historyOf)); // gateways have read all of it now
    assert.deepEqual(before[0], before[1]);

    const { stdout } = await parleyStore('--erase-user', anna);
    const [{ count }] = await stack.rows('SELECT count(*)::int FROM messages');
    assert.equal(stdout, `Looked at ${count} messages: ${MANY - 1} of ${anna} are erased, and 1 room was told.\n`);

    // On every gateway, without another message, for whoever reads back, comes anew or comes back.
    for (const [i, url] of stack.urls.entries()) {
        await eventually(async () => !JSON.stringify(await historyOf(people[i])).includes('secret'), 'nothing of it', SOON_MS);
        const newcomer = await someoneIn(t, url, { room, auth: { serverOffset: 0 } });
        await newcomer.hasSeen(MANY + 1);
        newcomer.sawExactly(1, MANY + 1);
        const history = await historyOf(newcomer);
        for (const messages of [newcomer.messages, history]) {
            assert.ok(!JSON.stringify(messages).includes('secret') && !JSON.stringify(messages).includes(anna));
            const kept = messages.filter(({ content }) => content !== '[erased]').map(({ id, content }) => [id, content]);
            assert.deepEqual(kept, [2, MANY + 1].map((id) => [`${id}`, `${id}: kept`]));
        }
        assert.deepEqual(withoutText(history), withoutText(before[0]));
        newcomer.goHome();
    }
    door.leadTo(() => stack.doors[1].port);
    await away.joined(2);
    await away.hasSeen(MANY + 1);
    away.sawExactly(1, MANY + 1);
    assert.equal(away.joins[1].recovered, true);
    assert.deepEqual(away.contents.slice(2), [...Array(MANY - 2).fill('[erased]'), `${MANY + 1}: kept`]);

    // Those who were there noticed nothing, and go on.
    assert.equal((await people[1].say('and on')).id, `${MANY + 2}`);
    for (const person of [...people, away]) {
        await person.hasSeen(MANY + 2);
        person.sawExactly(1, MANY + 2);
        assert.deepEqual(person.gaps, []);
    }
    for (const person of people) assert.equal(person.leaves.length, 0);
    await parleyStore('--check');
});

promise('erasing_while_people_talk_costs_nobody_a_message', { of: stack }, async (t) => {
    const room = freshRoom();
    const username = freshName();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username } });
    const bert = await someoneIn(t, stack.urls[1], { room });
    let goesOn = true;
    let said = 0;
    const talking = (async () => {
        for (; goesOn; said++) assert.deepEqual(await anna.say(`${said}`).then(({ status, id }) => [status, Number(id)]), ['ok', said + 1]);
    })();
    for (const round of range(1, 20)) {
        await bert.until(() => bert.messages.length >= 10 * round, `talk before erasure ${round}`);
        await parleyStore('--erase-user', username);
    }
    goesOn = false;
    await talking;
    for (const person of [anna, bert]) {
        await person.hasSeen(said);
        person.sawExactly(1, said);
        assert.deepEqual(person.gaps, []);
        assert.equal(person.leaves.length, 0);
    }
    const late = await someoneIn(t, stack.urls[1], { room, auth: { serverOffset: 0 } });
    await late.hasSeen(said);
    assert.ok(late.contents.filter((content) => content === '[erased]').length >= 200);
    await parleyStore('--check');
});

promise('who_has_said_nothing_has_nothing_erased', { of: stack }, async () => {
    const { stdout } = await parleyStore('--erase-user', freshName());
    assert.match(stdout, /: 0 of user-\d+-\d+ are erased, and 0 rooms were told\.\n$/);
});

promise('an_export_is_the_rooms_history_in_lines_of_JSON', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: 'Anna "A" \\ Ω' } });
    const contents = ['plain', 'two\nlines\r\n\ttabbed', '"quoted" \\n', '\u0001\u001f\u007f', 'Ω 🙂 \u2028 \u2029', '</script>', ' '];
    await sayMany(anna, [...contents, ...range(1, MANY).map((n) => `${n}`)]);
    const { stdout } = await parleyStore('--export', room);
    assert.ok(stdout.endsWith('\n'));
    const lines = stdout.slice(0, -1).split('\n').map((line) => JSON.parse(line));
    assert.deepEqual(lines.slice(0, contents.length).map(({ content }) => content), contents);
    assert.deepEqual(lines, await historyOf(anna));
    assert.equal(lines.length, contents.length + MANY);
});

promise('an_export_of_no_room_or_to_a_full_disk_says_so', { of: stack }, async (t) => {
    await assert.rejects(parleyStore('--export', 'nowhere'), ({ code, stdout, stderr }) => {
        assert.deepEqual([code, stdout], [1, '']);
        assert.match(stderr, /^parley-store: The room was not exported, or not to its end: nobody has ever said anything in a room of that name\.\n$/);
        return true;
    });
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    await anna.say('something');
    const shell = ['-c', '"$0" --export "$1" > /dev/full', stack.stores[0].binary, room];
    await assert.rejects(promisify(execFile)('sh', shell, { env: { DATABASE_URL: stack.postgres.url } }), ({ code, stderr }) => {
        assert.equal(code, 1);
        assert.match(stderr, /what was read could not be written: No space left on device\n$/);
        return true;
    });
});
