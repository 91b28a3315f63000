/**
 * The messages of a room are deleted (parley-store --delete-room) while people are in it: what is gone is shown to nobody
 * any more, and no old number names a new message.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const stack = ownStack({ gateways: 2, stores: 1 });

const parleyStore = (...args) => promisify(execFile)(stack.stores[0].binary, args, { env: { DATABASE_URL: stack.postgres.url } });

const gapsOf = (person) => person.gaps.map(({ from, to, reason }) => [Number(from), Number(to), reason]);

promise('what_was_deleted_is_shown_to_nobody_and_no_old_number_names_a_new_message', { of: stack }, async (t) => {
    const room = freshRoom();
    const door = await stack.door(1);
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: 'anna' } });
    const bert = await someoneIn(t, stack.urls[1], { room });
    const early = await someoneIn(t, door.url, { room });
    await Promise.all(range(1, 3).map((n) => anna.say(`${n}`)));
    await early.hasSeen(3);
    door.leadTo(() => null);
    door.cut();
    await early.left();
    await Promise.all(range(4, 5).map((n) => anna.say(`${n}`)));
    for (const person of [anna, bert]) await person.hasSeen(5);

    const { stdout } = await parleyStore('--delete-room', room);
    assert.equal(stdout, `The messages of ${room} up to 5 are deleted; the next one there will be 6.\n`);
    // The gateways have the room open: without any news they find out when they next compare heads.
    for (const url of stack.urls) {
        await eventually(async () => {
            const newcomer = await someoneIn(t, url, { room, auth: { serverOffset: 0 } });
            const page = await newcomer.socket.timeout(5000).emitWithAck('chat history', { after: 0, limit: 50 });
            newcomer.goHome();
            return page.messages.length === 0 && newcomer.messages.length === 0;
        }, 'the gateway to show nothing of it');
    }
    assert.equal((await bert.say('6')).id, '6');
    for (const person of [anna, bert]) {
        await person.hasSeen(6);
        person.sawExactly(1, 6);
        assert.deepEqual(person.gaps, [], 'they have seen all that there was');
        assert.equal(person.leaves.length, 0);
    }
    door.leadTo(() => stack.doors[1].port);
    await early.hasSeen(6);
    assert.deepEqual(early.ids, [1, 2, 3, 6]);
    assert.deepEqual(gapsOf(early), [[4, 5, 'retention']]);
    const newcomer = await someoneIn(t, stack.urls[0], { room, auth: { serverOffset: 0 } });
    await newcomer.hasSeen(6);
    newcomer.sawExactly(6, 6);
    assert.deepEqual(gapsOf(newcomer), [[1, 5, 'retention']]);
    await parleyStore('--check');
});

promise('deleting_a_room_while_people_talk_costs_nobody_a_message', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: 'anna' } });
    const bert = await someoneIn(t, stack.urls[1], { room });
    let goesOn = true;
    let said = 0;
    const talking = (async () => {
        for (; goesOn; said++) assert.deepEqual(await anna.say(`${said}`).then(({ status, id }) => [status, Number(id)]), ['ok', said + 1]);
    })();
    for (const round of range(1, 5)) {
        await bert.until(() => bert.messages.length >= 20 * round, `talk before deletion ${round}`);
        await parleyStore('--delete-room', room);
    }
    goesOn = false;
    await talking;
    // Who is not quick enough is told what was deleted before it was sent.
    const missed = () => bert.gaps.flatMap(({ from, to }) => range(Number(from), Number(to)));
    await bert.until(() => bert.ids.length + missed().length >= said, 'the last message');
    assert.deepEqual([...bert.ids, ...missed()].sort((a, b) => a - b), range(1, said));
    for (const { reason } of bert.gaps) assert.equal(reason, 'retention');
    await parleyStore('--check');
});
