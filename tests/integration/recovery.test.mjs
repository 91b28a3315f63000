/**
 * Coming back: to any gateway, after any death, exactly what was missed.
 */
import assert from 'node:assert/strict';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { RawWebSocket } from './harness/raw_websocket.mjs';
import { anyStack, freshRoom } from './harness/stack.mjs';

const stack = anyStack({ gatewayEnv: { RECOVERY_MAX: '400' } });

/** A page load later: another session, that knows only the last id that it saw. */
promise('a_client_that_names_its_last_id_gets_exactly_what_it_missed_from_another_gateway', {}, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const bert = await someoneIn(t, stack.urls[0], { room });
    await Promise.all(range(1, 10).map((n) => anna.say(`${n}`)));
    await bert.hasSeen(10);
    const { id } = bert.messages.at(-1);
    bert.goHome();
    await Promise.all(range(11, 30).map((n) => anna.say(`${n}`)));

    const again = await someoneIn(t, stack.urls[1], { room, auth: { serverOffset: id } });
    await again.hasSeen(30);
    again.sawExactly(11, 30);
    assert.equal(again.joins[0].recovered, false);
    assert.deepEqual(again.contents, range(11, 30).map(String));
});

promise('a_session_is_recovered_on_the_other_gateway_when_its_own_is_killed', { of: stack }, async (t) => {
    const room = freshRoom();
    const door = await stack.door(0);
    const bert = await someoneIn(t, door.url, { room });
    const anna = await someoneIn(t, stack.urls[1], { room });
    await Promise.all(range(1, 5).map((n) => anna.say(`${n}`)));
    await bert.hasSeen(5);

    door.leadTo(() => null);
    await stack.gateways[0].kill();
    await bert.left();
    await Promise.all(range(6, 20).map((n) => anna.say(`${n}`)));
    door.leadTo(() => stack.gateways[1].port);

    const join = await bert.joined(2);
    assert.equal(join.recovered, true);
    assert.equal(join.id, bert.joins[0].id, 'the same session');
    await bert.hasSeen(20);
    bert.sawExactly(1, 20);
    await stack.gateways[0].start();
});

promise('a_session_is_recovered_also_when_it_had_received_no_event', { of: stack }, async (t) => {
    const room = freshRoom();
    const door = await stack.door(0);
    const anna = await someoneIn(t, stack.urls[1], { room });
    await Promise.all(range(1, 5).map((n) => anna.say(`${n}`)));
    // He has everything; none of it came over this session.
    const bert = await someoneIn(t, door.url, { room, auth: { serverOffset: 5 } });
    // And she joins a room that is empty.
    const cleo = await someoneIn(t, door.url, { room: freshRoom() });

    door.leadTo(() => null);
    await stack.gateways[0].kill();
    await Promise.all([bert.left(), cleo.left()]);
    await Promise.all(range(6, 8).map((n) => anna.say(`${n}`)));
    door.leadTo(() => stack.gateways[1].port);
    for (const person of [bert, cleo]) assert.equal((await person.joined(2)).recovered, true);
    await bert.hasSeen(8);
    bert.sawExactly(6, 8);
    await cleo.say('first');
    cleo.sawExactly(1, 1);
    await stack.gateways[0].start();
});

promise('a_newcomer_that_came_from_nowhere_is_recovered_at_its_start', { of: stack }, async (t) => {
    // No serverOffset, an empty room, and the first message while it is away: only the pid knows where it began.
    const room = freshRoom();
    const door = await stack.door(0);
    const bert = await someoneIn(t, door.url, { room });
    const anna = await someoneIn(t, stack.urls[1], { room });
    door.leadTo(() => null);
    door.cut();
    await bert.left();
    await Promise.all(range(1, 60).map((n) => anna.say(`${n}`)));
    door.leadTo(() => stack.gateways[1].port);
    assert.equal((await bert.joined(2)).recovered, true);
    await bert.hasSeen(60);
    bert.sawExactly(1, 60);
});

promise('a_session_is_recovered_again_and_again', { of: stack }, async (t) => {
    const room = freshRoom();
    const door = await stack.door(0);
    const bert = await someoneIn(t, door.url, { room });
    const anna = await someoneIn(t, stack.urls[1], { room });
    const rounds = 6;
    for (const round of range(1, rounds)) {
        door.leadTo(() => null);
        door.cut();
        await bert.left(round);
        await anna.say(`${round} while he is away`);
        const { port } = stack.doors[round % 2];
        door.leadTo(() => port);
        const join = await bert.joined(round + 1);
        assert.equal(join.recovered, true, `round ${round}`);
        // In some rounds nothing is said while he is there.
        if (round % 3 !== 0) await anna.say(`${round} while he is there`);
    }
    const head = Number((await anna.say('the end')).id);
    await bert.hasSeen(head);
    bert.sawExactly(1, head);
    assert.equal(new Set(bert.joins.map((join) => join.id)).size, 1, 'one session all the time');
});

promise('everybody_recovers_on_a_gateway_that_has_just_started', { of: stack }, async (t) => {
    const room = freshRoom();
    const door = stack.doors[0];
    const people = await Promise.all(range(1, 20).map(() => someoneIn(t, door.url, { room })));
    const anna = await someoneIn(t, stack.urls[1], { room });
    await Promise.all(range(1, 20).map((n) => anna.say(`${n}`)));
    await Promise.all(people.map((person) => person.hasSeen(20)));
    await stack.gateways[0].kill();
    await Promise.all(people.map((person) => person.left()));
    await Promise.all(range(21, 40).map((n) => anna.say(`${n}`)));
    await stack.gateways[0].start();
    for (const person of people) {
        assert.equal((await person.joined(2)).recovered, true);
        await person.hasSeen(40);
        person.sawExactly(1, 40);
    }
});

promise('a_session_whose_old_connection_hangs_goes_on_with_the_new_one', { of: stack }, async (t) => {
    const room = freshRoom();
    const door = await stack.door(0);
    const bert = await someoneIn(t, door.url, { room });
    const anna = await someoneIn(t, stack.urls[1], { room });
    await anna.say('1');
    await bert.hasSeen(1);
    door.freeze(); // gateway 0 still believes in the old connection
    door.leadTo(() => stack.gateways[1].port);
    bert.dropConnection();
    assert.equal((await bert.joined(2)).recovered, true);
    await anna.say('2');
    await bert.say('3');
    await bert.hasSeen(3);
    bert.sawExactly(1, 3);
});

promise('too_much_to_recover_is_told_as_a_gap_and_not_as_recovered', { of: stack }, async (t) => {
    const room = freshRoom();
    const door = await stack.door(0);
    const bert = await someoneIn(t, door.url, { room });
    const anna = await someoneIn(t, stack.urls[1], { room });
    await anna.say('1');
    await bert.hasSeen(1);
    door.leadTo(() => null);
    door.cut();
    await bert.left();
    await Promise.all(range(2, 500).map((n) => anna.say(`${n}`)));
    door.leadTo(() => stack.gateways[0].port);
    assert.equal((await bert.joined(2)).recovered, false);
    await bert.hasSeen(500);
    assert.deepEqual(bert.ids, [1, ...range(101, 500)]);
    assert.equal(bert.gaps.length, 1);
    assert.deepEqual([Number(bert.gaps[0].from), Number(bert.gaps[0].to)], [2, 100]);
    assert.equal(typeof bert.gaps[0].reason, 'string');
    const gapAt = bert.journal.findIndex(([kind]) => kind === 'gap');
    const nextAt = bert.journal.findIndex(([kind, { id }]) => kind === 'message' && id === '101');
    assert.ok(gapAt < nextAt, 'the gap is told in front');

    // Exactly at the limit nothing is left out.
    const atLimit = await someoneIn(t, stack.urls[1], { room, auth: { serverOffset: 100 } });
    await atLimit.hasSeen(500);
    atLimit.sawExactly(101, 500);
    assert.deepEqual(atLimit.gaps, []);
    const pastLimit = await someoneIn(t, stack.urls[1], { room, auth: { serverOffset: 99 } });
    await pastLimit.hasSeen(500);
    pastLimit.sawExactly(101, 500);
    assert.deepEqual([Number(pastLimit.gaps[0].from), Number(pastLimit.gaps[0].to)], [100, 100]);
});

promise('the_answer_to_a_resume_comes_before_the_missed_messages_with_the_pid_unchanged', {}, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const first = await RawWebSocket.join(t, stack.urls[0], room);
    await anna.say('missed');
    const event = await first.text();
    assert.match(event, new RegExp(`^42/${room},\\["chat message","missed","1",`));
    first.socket.destroy();
    await anna.say('missed too');

    const { pid, sid } = first.session;
    const offset = JSON.parse(event.slice(event.indexOf('['))).at(-1);
    const second = await RawWebSocket.open(t, stack.urls[1]);
    second.send(`40/${room},${JSON.stringify({ pid, offset })}`);
    assert.deepEqual(JSON.parse((await second.text()).slice(`40/${room},`.length)), { sid, pid });
    assert.match(await second.text(), /^42.*"missed too","2"/);
});

promise('a_pid_that_is_forged_or_of_another_room_or_torn_is_a_new_session_at_the_named_offset', {}, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    await Promise.all(range(1, 3).map((n) => anna.say(`${n}`)));
    const { offset } = anna.messages[1];
    const { pid } = (await RawWebSocket.join(t, stack.urls[0], room)).session;
    const foreign = (await RawWebSocket.join(t, stack.urls[0], freshRoom())).session.pid;
    const middle = Math.floor(pid.length / 2);
    const bent = pid.slice(0, middle) + (pid[middle] === 'A' ? 'B' : 'A') + pid.slice(middle + 1);

    for (const wrong of [bent, pid.slice(0, -1), foreign, '', 'x', 17, null, {}, 'A'.repeat(5000)]) {
        const raw = await RawWebSocket.open(t, stack.urls[1]);
        raw.send(`40/${room},${JSON.stringify({ pid: wrong, offset })}`);
        const reply = JSON.parse((await raw.text()).slice(`40/${room},`.length));
        assert.deepEqual(Object.keys(reply), ['sid', 'pid']);
        assert.notEqual(reply.pid, wrong);
        assert.match(await raw.text(), /"3","3",/, `the offset counts beside the pid ${JSON.stringify(wrong)}`);
    }
});

promise('the_largest_of_offset_and_serverOffset_counts', {}, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    await Promise.all(range(1, 5).map((n) => anna.say(`${n}`)));
    const { offset } = anna.messages[1]; // of message 2
    for (const [auth, next] of [
        [{ offset, serverOffset: 3 }, 4],
        [{ offset, serverOffset: 1 }, 3],
        [{ offset, serverOffset: 'nonsense' }, 3],
        [{ offset: 'nonsense', serverOffset: '4' }, 5],
        [{ offset: 4 }, 5],
    ]) {
        const raw = await RawWebSocket.join(t, stack.urls[1], room, auth);
        assert.match(await raw.text(), new RegExp(`"${next}","${next}",`), JSON.stringify(auth));
    }
});
