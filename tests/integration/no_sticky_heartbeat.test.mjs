/**
 * No sticky sessions, at the wire: the heartbeat of a session that polls at other gateways, or went to one.
 */
import assert from 'node:assert/strict';
import { Balancer } from './harness/balancer.mjs';
import { Guest, OTHER, THIRD, nobodyIsLeft } from './harness/guest.mjs';
import { WAYS, someone } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { frame } from './harness/raw_websocket.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { Changes, PATIENCE, eventually, within } from './harness/wait.mjs';

const stack = ownStack({ gateways: 3, gatewayEnv: { PING_INTERVAL: '300ms', PING_TIMEOUT: '200ms' } });

promise('a_session_that_polls_elsewhere_lives_through_heartbeats', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    const polling = [guest.at(OTHER), guest.at(THIRD)];
    let beats = 0;
    for (let n = 0; beats < 5; n++) {
        const { status, text } = await polling[n % 2].get();
        assert.equal(status, 200, text);
        assert.equal(text, '2');
        beats++;
        assert.equal((await polling[(n + 1) % 2].post('3')).text, 'ok');
    }
});

promise('the_heartbeat_goes_on_across_the_takeover', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    const raw = await guest.at(OTHER).upgraded();
    let last = performance.now();
    for (let beat = 1; beat <= 5; beat++) {
        assert.equal((await raw.frame()).payload.toString(), '2');
        const after = performance.now() - last;
        if (beat > 1) assert.ok(after > 290 && after < 300 + 150 * PATIENCE, `ping ${beat} after ${after} ms`);
        last = performance.now();
        raw.send('3');
    }
    raw.send(guest.saying('alive'));
    await raw.textLike((text) => text.includes('"alive"'));
});

promise('who_does_not_answer_a_ping_is_let_go_wherever_it_polls_or_was_taken_over', { of: stack }, async (t) => {
    const silent = await Guest.arrive(t, stack);
    assert.equal((await silent.at(OTHER).get()).text, '2');
    const raw = await (await Guest.arrive(t, stack)).at(OTHER).upgraded();
    await within(raw.ended(), 'the end of the WebSocket', 1500 * PATIENCE);
    await eventually(async () => (await silent.at(THIRD).get()).status === 400, 'the session to be over', 1500 * PATIENCE);
});

promise('clients_live_through_heartbeats_behind_a_balancer', { of: stack }, async (t) => {
    const balancer = await Balancer.open(() => stack.gateways.map(({ url }) => url));
    const room = freshRoom();
    const people = Object.values(WAYS).map(([options]) => someone(t, balancer.url, { room, options: { transports: undefined, ...options } }));
    const news = new Changes();
    for (const person of people) {
        person.beats = 0;
        person.socket.io.on('ping', () => {
            person.beats++;
            news.changed();
        });
    }
    await news.until(() => people.every(({ beats }) => beats >= 6), () => `six heartbeats each: ${people.map(({ beats }) => beats)}`);
    await Promise.all(people.map((person) => person.say('alive')));
    for (const person of people) {
        await person.hasCounted(people.length);
        person.sawExactly(1, people.length);
        assert.equal(person.joins.length, 1, `${person.leaves}`);
    }
});

promise('behind_all_of_this_no_session_is_left', { of: stack, timeoutMs: 120_000 }, () => nobodyIsLeft(stack));
