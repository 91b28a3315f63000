/**
 * A backup was restored: ids are given a second time, and an old number must never name a new message.
 */
import assert from 'node:assert/strict';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';

const stack = ownStack({ gateways: 2, stores: 1 });

promise('after_a_restored_backup_no_old_number_names_a_new_message', { of: stack }, async (t) => {
    const room = freshRoom();
    const door = await stack.door(0);
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: 'anna' } });
    const bert = await someoneIn(t, stack.urls[1], { room, auth: { username: 'bert' } });
    const away = await someoneIn(t, door.url, { room });
    await Promise.all(range(1, 10).map((n) => anna.say(`${n}`)));
    const backup = stack.file('backup.sql');
    await stack.postgres.backup(backup);
    await Promise.all(range(11, 15).map((n) => anna.say(`${n} will be lost`)));
    for (const person of [anna, bert, away]) await person.hasSeen(15);
    door.leadTo(() => null);
    door.cut();
    await away.left();

    await stack.postgres.restore(backup);
    // Said once more, with another content: another message, under an id that was used before.
    assert.equal((await anna.say('11 again')).id, '11');
    for (const person of [anna, bert]) {
        await person.until(() => person.contents.includes('11 again'), 'the first message of the new epoch');
        assert.deepEqual(person.ids, [...range(1, 15), 11]);
        const [epoch, newEpoch] = [person.messages[14], person.messages[15]].map(({ offset }) => Number(offset.split('-')[0]));
        assert.ok(newEpoch > epoch, `${newEpoch} is newer than ${epoch}`);
        assert.deepEqual(person.gaps.map(({ from, to, reason }) => [Number(from), Number(to), reason]), [[11, 15, 'epoch']]);
        const kinds = person.journal.map(([kind]) => kind).filter((kind) => ['gap', 'message'].includes(kind));
        assert.deepEqual(kinds.slice(-2), ['gap', 'message'], 'the gap is told first');
    }

    // Who was away has an offset of the old epoch: what it saw past the backup is not there any more.
    door.leadTo(() => stack.doors[0].port);
    assert.equal((await away.joined(2)).recovered, false);
    await away.until(() => away.contents.includes('11 again'), 'the first message of the new epoch');
    assert.deepEqual(away.ids, [...range(1, 15), 11]);
    assert.deepEqual(away.gaps.map(({ from, to, reason }) => [Number(from), Number(to), reason]), [[11, 15, 'epoch']]);

    // A newcomer sees one unbroken log.
    const newcomer = await someoneIn(t, stack.urls[1], { room, auth: { serverOffset: 0 } });
    assert.equal((await bert.say('12')).id, '12');
    await newcomer.hasSeen(12);
    newcomer.sawExactly(1, 12);
    assert.deepEqual(newcomer.contents, [...range(1, 10).map(String), '11 again', '12']);
});
