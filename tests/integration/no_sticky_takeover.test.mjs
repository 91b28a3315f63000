/**
 * No sticky sessions, at the wire: from `5` on the session is where its WebSocket is, with all that was under way.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Balancer } from './harness/balancer.mjs';
import { ALL, DEATH_MS, Guest, OTHER, OWNER, THIRD, hears, movedAway, nobodyIsLeft, sawItsOwn } from './harness/guest.mjs';
import { range, someoneIn } from './harness/person.mjs';
import { SEPARATOR } from './harness/polling.mjs';
import { promise } from './harness/promise.mjs';
import { RawWebSocket, frame } from './harness/raw_websocket.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually, within } from './harness/wait.mjs';

const stack = ownStack({ gateways: 3 });

const freeze = () => stack.stores[0].child.signal('SIGSTOP');
const thaw = () => stack.stores[0].child.signal('SIGCONT');

for (const isFrozen of [false, true])
    for (const by of ALL)
        promise(
            `what_is_posted_at_${by}_before_5_is_acknowledged_behind_the_takeover_and_stays_in_front` +
                (isFrozen ? '_though_the_store_is_frozen_meanwhile' : ''),
            { of: stack },
            async (t) => {
                const guest = await Guest.arrive(t, stack);
                const bert = await someoneIn(t, stack.urls[THIRD], { room: guest.room });
                const [before, behind] = [range(1, 20).map((n) => `before ${n}`), range(1, 20).map((n) => `behind ${n}`)];
                const raw = await guest.at(OTHER).probed();
                if (isFrozen) freeze();
                // One alone first, so that more than one append is needed.
                await guest.say(by, before[0]);
                await guest.say(by, ...before.slice(1));
                raw.write(Buffer.concat([frame({ payload: '5' }), ...behind.slice(0, 10).map((text) => frame({ payload: guest.saying(text) }))]));
                if (isFrozen) {
                    await movedAway(guest);
                    for (const text of behind.slice(10)) raw.send(guest.saying(text));
                    thaw();
                } else {
                    for (const text of behind.slice(10)) raw.send(guest.saying(text));
                }
                const all = [...before, ...behind];
                sawItsOwn(await hears(raw, 2 * all.length), all);
                await bert.say('the end');
                assert.deepEqual(bert.contents, [...all, 'the end']);
                assert.deepEqual(await hears(raw, 1), ['message the end 41'], 'and nothing else');
            },
        );

promise('a_thousand_sends_without_an_outcome_follow_the_session', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    const bert = await someoneIn(t, stack.urls[THIRD], { room: guest.room });
    const texts = range(1, 1000).map((n) => `${n} ${'x'.repeat(200)}`);
    const raw = await guest.at(OTHER).probed();
    freeze();
    await guest.say(OWNER, ...texts.slice(0, 500));
    await guest.say(THIRD, ...texts.slice(500));
    raw.send('5');
    await movedAway(guest);
    raw.send(guest.saying('behind them'));
    thaw();
    const all = [...texts, 'behind them'];
    sawItsOwn(await hears(raw, 2 * all.length), all);
    await bert.hasSeen(1001);
    assert.deepEqual(bert.contents, all);
});

promise('refusals_and_acknowledgements_that_wait_when_5_comes_follow_the_session', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    const raw = await guest.at(OTHER).probed();
    await guest.say(OWNER, 'fine', '', 'x'.repeat(17_000), 'fine too');
    const bert = await someoneIn(t, stack.urls[THIRD], { room: guest.room, auth: { serverOffset: 0 } });
    await bert.hasSeen(2);
    raw.send('5');
    const heard = await hears(raw, 6);
    assert.deepEqual([...heard].sort(), ['ack 1 1', 'ack 2 invalid_message', 'ack 3 too_large', 'ack 4 2', 'message fine 1', 'message fine too 2']);
});

for (const isFrozen of [false, true])
    promise(`chat_history_asked_for_before_5_is_answered_behind_it${isFrozen ? '_when_the_store_can_again' : ''}`, { of: stack }, async (t) => {
        const room = freshRoom();
        const bert = await someoneIn(t, stack.urls[THIRD], { room });
        for (const n of range(1, 300)) bert.socket.emit('chat message', `${n}`);
        await bert.hasSeen(300);
        const guest = await Guest.arrive(t, stack, { room, auth: { serverOffset: 300 } });
        const raw = await guest.at(OTHER).probed();
        if (isFrozen) freeze();
        await guest.at(THIRD).post(`42/${room},77["chat history",{"before":101,"limit":100}]`);
        raw.send('5');
        await movedAway(guest);
        if (isFrozen) thaw();
        const answer = await raw.textLike((text) => text.startsWith(`43/${room},77[`));
        const [{ status, messages, more }] = JSON.parse(answer.slice(answer.indexOf('[')));
        assert.equal(status, 'ok');
        assert.equal(more, false);
        assert.deepEqual(messages.map(({ content }) => content), range(1, 100).map(String));
        await bert.say('301');
        assert.deepEqual(await hears(raw, 1), ['message 301 301']);
    });

promise('as_much_as_may_wait_for_a_client_follows_the_session', { of: stack }, async (t) => {
    const room = freshRoom();
    const bert = await someoneIn(t, stack.urls[THIRD], { room });
    for (const n of range(1, 20)) assert.equal((await bert.say(`${n} ${'"'.repeat(8000)}`)).id, String(n));
    const guest = await Guest.arrive(t, stack, { room, auth: { serverOffset: 20 } });
    const raw = await guest.at(OTHER).probed();
    for (const ack of range(1, 2)) await guest.at(OWNER).post(`42/${room},${ack}["chat history",{"after":0,"limit":20}]`);
    raw.send('5');
    const sizes = [];
    for (const ack of range(1, 2)) {
        const answer = await raw.text();
        assert.ok(answer.startsWith(`43/${room},${ack}[{"status":"ok"`), answer.slice(0, 100));
        sizes.push(answer.length);
    }
    assert.ok(sizes[0] > 100_000, `${sizes}`);
    assert.deepEqual(sizes, sizes.map(() => sizes[0]));
});

promise('all_rooms_of_a_connection_go_on_behind_the_takeover', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    const rooms = [guest.room, ...range(2, 100).map((n) => freshRoom(`room-with-a-long-name-${n}`))];
    const payload = rooms.slice(1).map((room, i) => `40/${room},${JSON.stringify({ username: `guest ${i + 1}` })}`);
    await guest.at(OTHER).post(payload.join(SEPARATOR));
    const replies = [];
    while (replies.length < 99) replies.push(await guest.packet(THIRD));
    for (const reply of replies) assert.match(reply, /^40\/room-/);
    const raw = await guest.at(OTHER).upgraded();
    for (const room of rooms) raw.send(guest.saying(`in ${room}`, { room }));
    const heard = new Set(await hears(raw, 200));
    for (const [i, room] of rooms.entries()) assert.ok(heard.has(`message in ${room} 1`) && heard.has(`ack ${i + 1} 1`), room);
    // As whom it had joined each, and to be left one by one.
    const bert = await someoneIn(t, stack.urls[THIRD], { room: rooms[42], auth: { serverOffset: 0 } });
    await bert.hasSeen(1);
    assert.equal(bert.messages[0].username, 'guest 42');
    raw.send(`41/${rooms[42]},`);
    raw.send(guest.saying('after leaving another', { room: rooms[43] }));
    await hears(raw, 2);
    await bert.say('not for who left');
    raw.send(guest.saying('the end', { room: rooms[43] }));
    assert.match((await hears(raw, 2)).join(), /^message the end 3,/);
});

promise('joins_that_wait_for_the_store_when_5_comes_are_answered_behind_it', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    const other = freshRoom();
    const raw = await guest.at(OTHER).probed();
    freeze();
    await guest.at(THIRD).post(`40/${other},{"serverOffset":0}`);
    raw.send('5');
    await movedAway(guest);
    thaw();
    assert.match(await raw.text(), new RegExp(`^40/${other},\\{"sid":`));
    raw.send(guest.saying('joined', { room: other }));
    assert.deepEqual(await hears(raw, 2), ['message joined 1', 'ack 1 1']);
});

promise('who_asked_for_no_echo_gets_none_behind_the_takeover', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack, { auth: { echo: false } });
    const bert = await someoneIn(t, stack.urls[THIRD], { room: guest.room });
    await guest.say(OTHER, 'mine, polling');
    assert.deepEqual(await guest.hears(1), ['ack 1 1']);
    const raw = await guest.at(OTHER).probed();
    await guest.say(THIRD, 'mine, before 5');
    raw.send('5');
    raw.send(guest.saying('mine, behind 5'));
    assert.deepEqual(await hears(raw, 2), ['ack 2 2', 'ack 3 3']);
    await bert.hasSeen(3);
    await bert.say('yours');
    assert.deepEqual(await hears(raw, 1), ['message yours 4']);
});

promise('the_pid_given_before_the_takeover_resumes_the_session_afterwards', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    const bert = await someoneIn(t, stack.urls[THIRD], { room: guest.room });
    // A join whose reply is at hand.
    const room = freshRoom();
    const reply = await guest.join(room);
    const session = JSON.parse(reply.slice(reply.indexOf('{')));
    const raw = await guest.at(OTHER).upgraded();
    raw.send(guest.saying('one', { room }));
    await hears(raw, 2);
    raw.socket.destroy();
    const again = await RawWebSocket.open(t, stack.gateways[THIRD].url);
    again.send(`40/${room},${JSON.stringify({ pid: session.pid })}`);
    assert.deepEqual(JSON.parse((await again.text()).slice(`40/${room},`.length)), session);
    assert.deepEqual(await hears(again, 1), ['message one 1']);
    assert.equal(bert.leaves.length, 0);
});

promise('the_session_goes_on_when_its_first_owner_is_killed_behind_the_takeover', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    const raw = await guest.at(OTHER).upgraded();
    raw.send(guest.saying('moved'));
    assert.deepEqual(await hears(raw, 2), ['message moved 1', 'ack 1 1']);
    await stack.gateways[OWNER].kill();
    for (const n of range(2, 5)) {
        raw.send(guest.saying(`still ${n}`));
        assert.deepEqual(await hears(raw, 2), [`message still ${n} ${n}`, `ack ${n} ${n}`]);
    }
    await stack.gateways[OWNER].start();
    raw.send(guest.saying('and on'));
    assert.match((await hears(raw, 2)).join(), /^message and on 6,/);
});

promise('the_session_goes_on_when_its_first_owner_is_asked_to_end_behind_the_takeover', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    const raw = await guest.at(OTHER).probed();
    await guest.say(OWNER, ...range(1, 50).map((n) => `${n}`));
    raw.send('5');
    await movedAway(guest, [OWNER]);
    assert.deepEqual(await stack.gateways[OWNER].stop(), { code: 0, signal: null });
    raw.send(guest.saying('51'));
    sawItsOwn(await hears(raw, 102), range(1, 51).map(String));
    await stack.gateways[OWNER].start();
});

promise('the_session_is_closed_when_its_first_owner_dies_with_its_sends_in_flight', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    const bert = await someoneIn(t, stack.urls[THIRD], { room: guest.room });
    const raw = await guest.at(OTHER).probed();
    freeze();
    await guest.say(OWNER, 'in flight');
    raw.send('5');
    await movedAway(guest);
    raw.send(guest.saying('behind it'));
    await stack.gateways[OWNER].kill();
    await within(raw.ended(), 'the end of the WebSocket', DEATH_MS);
    thaw();
    await bert.say('afterwards');
    // What was in flight is there or not; what was said behind it must not be there without it.
    assert.ok(['in flight,behind it,afterwards', 'in flight,afterwards', 'afterwards'].includes(bert.contents.join()), `${bert.contents}`);
    await stack.gateways[OWNER].start();
});

promise('a_client_whose_first_owner_dies_with_its_sends_in_flight_recovers_and_repeats_them', { of: stack }, async (t) => {
    const room = freshRoom();
    let letUpgrade;
    const mayUpgrade = new Promise((resolve) => (letUpgrade = resolve));
    const balancer = await Balancer.open(
        () => stack.gateways.map(({ url }) => url),
        ({ what, sid }) => (what === 'websocket' ? mayUpgrade.then(() => OTHER) : sid ? THIRD : letUpgrade.isOver ? OTHER : OWNER),
    );
    const anna = await someoneIn(t, balancer.url, { room, options: { transports: undefined } });
    const bert = await someoneIn(t, stack.urls[THIRD], { room });
    assert.equal((await anna.say('before')).id, '1');
    freeze();
    const ids = range(1, 5).map(() => randomUUID());
    const acks = new Map();
    const send = (n) =>
        anna.socket.timeout(3000).emit('chat message', `${n}`, ids[n - 1], (error, ack) => {
            if (error) return send(n);
            acks.set(n, ack.id);
            anna.changed();
            return undefined;
        });
    for (const n of range(1, 5)) send(n);
    // The POST has been taken when the next, of another session of the same way, is.
    await eventually(() => balancer.served.filter(({ what }) => what === 'POST').length >= 2, 'the POST');
    letUpgrade.isOver = true;
    letUpgrade();
    await eventually(() => anna.socket.io.engine.transport.name === 'websocket', 'the upgrade');
    await stack.gateways[OWNER].kill();
    await anna.left();
    thaw();
    assert.equal((await anna.joined(2)).recovered, true);
    await anna.until(() => acks.size === 5, () => `all to be acknowledged: ${[...acks]}`);
    await bert.say('the end');
    for (const person of [anna, bert]) {
        await person.hasSeen(7);
        person.sawExactly(1, 7);
        assert.deepEqual(new Set(person.contents), new Set(['before', '1', '2', '3', '4', '5', 'the end']));
    }
    await stack.gateways[OWNER].start();
});

promise('sends_end_in_unavailable_at_their_deadline_behind_the_takeover_too', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    const raw = await guest.at(OTHER).probed();
    freeze();
    const clientId = randomUUID();
    await guest.at(OWNER).post(guest.saying('too late', { clientId }));
    raw.send('5');
    const text = await raw.text();
    thaw();
    assert.ok(text.startsWith(`42/${guest.room},["chat error",{"code":"unavailable"`), text);
    assert.ok(text.includes(`"clientId":"${clientId}"`), text);
    raw.send(guest.saying('too late', { clientId }));
    const heard = await hears(raw, 2);
    assert.deepEqual(heard, ['message too late 1', 'ack 2 1']);
});

promise('behind_all_of_this_no_session_is_left', { of: stack, timeoutMs: 120_000 }, () => nobodyIsLeft(stack));
