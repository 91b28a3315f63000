/**
 * The reference's own clients, the newest and 4.3, over every choice of transports, in Node.
 */
import assert from 'node:assert/strict';
import { IN_CHAT, IN_CHAT_NEWEST, ON_BEATING_ECHO, ON_ECHO, ON_ECHO_NEWEST, WAYS, run } from './harness/client_matrix.mjs';
import { ownEcho } from './harness/echo.mjs';
import { CLIENTS, someone, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { anyStack, freshRoom } from './harness/stack.mjs';
import { WAIT_MS, eventually } from './harness/wait.mjs';

const echo = ownEcho('sio-echo');
const beating = ownEcho('sio-echo', { 'ping-interval': 300, 'ping-timeout': 2000 });
const stack = anyStack();

for (const [version, io] of Object.entries(CLIENTS))
    for (const [way, [options, transport]] of Object.entries(WAYS)) {
        const name = `client_${version}_with_${way}`;
        const isNewest = version === 'newest';
        const trial = { io, options, transport, waitMs: WAIT_MS };

        for (const [what, scenario] of Object.entries({ ...ON_ECHO, ...(isNewest && ON_ECHO_NEWEST) }))
            promise(`${name}_${what}`, { of: echo }, () => run(scenario, { ...trial, url: echo.url }));

        for (const [what, scenario] of Object.entries(ON_BEATING_ECHO))
            promise(`${name}_${what}`, { of: beating }, () => run(scenario, { ...trial, url: beating.url }));

        for (const [what, scenario] of Object.entries({ ...IN_CHAT, ...(isNewest && IN_CHAT_NEWEST) }))
            promise(`${name}_${what}`, {}, async (t) => {
                const room = freshRoom();
                const friend = await someoneIn(t, stack.urls[1], { room });
                const friendSays = (text) => friend.say(text);
                await run(scenario, { ...trial, url: stack.urls[0], room, friendSays });
            });
    }

promise('tryAllTransports_falls_back_to_polling_where_no_WebSocket_passes', {}, async (t) => {
    const room = freshRoom();
    const anna = someone(t, stack.urls[0], {
        room,
        options: { tryAllTransports: true, transports: ['websocket', 'polling'], transportOptions: { websocket: { path: '/blocked/' } } },
    });
    await anna.joined();
    assert.equal(anna.socket.io.engine.transport.name, 'polling');
    assert.equal((await anna.say('hello')).id, '1');
});

promise('closing_a_polling_client_ends_its_session', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, options: { transports: ['polling'] } });
    const clients = async () => Number((await stack.gateways[0].metrics()).match(/^parley_clients (\d+)$/m)[1]);
    const before = await clients();
    anna.goHome();
    await eventually(async () => (await clients()) === before - 1, 'the session to be over');
});
