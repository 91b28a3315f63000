/**
 * The reference's own clients, the newest and 4.3, over every choice of transports.
 */
import assert from 'node:assert/strict';
import { ownEcho } from './harness/echo.mjs';
import { CLIENTS, WAYS, someone, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { anyStack, freshRoom } from './harness/stack.mjs';
import { eventually, within } from './harness/wait.mjs';

const echo = ownEcho('sio-echo', { 'ping-interval': 300, 'ping-timeout': 200 });
const stack = anyStack();

/** A client of sio-echo that has joined a namespace. */
async function joined(t, io, options = {}, namespace = '/') {
    const socket = io(echo.url + namespace, { forceNew: true, reconnection: false, ...options });
    t.after(() => socket.disconnect());
    await once(socket, 'connect');
    return socket;
}

/** The arguments of the next event of that name. */
function once(socket, event) {
    return within(new Promise((resolve) => socket.once(event, (...args) => resolve(args))), event);
}

const acknowledged = (socket, ...args) =>
    within(new Promise((resolve) => socket.emit(...args, (...answer) => resolve(answer))), 'an acknowledgement');

const isOn = (socket, name) => eventually(() => socket.io.engine.transport.name === name, `the transport ${name}`);

for (const [version, io] of Object.entries(CLIENTS))
    for (const [way, [options, transport]] of Object.entries(WAYS)) {
        const name = `client_${version}_with_${way}`;

        promise(`${name}_talks_text_and_binary_both_ways`, { of: echo }, async (t) => {
            const socket = await joined(t, io, { ...options, auth: { token: 'x' } });
            const args = [1, 'two', { three: Buffer.from([3, 4]) }, Buffer.from([5]), null, 'ümläut 😀'];
            for (let round = 0; round < 2; round++) {
                const back = once(socket, 'message-back');
                socket.emit('message', ...args);
                assert.deepEqual(await back, args);
                assert.deepEqual(await acknowledged(socket, 'message-with-ack', ...args), args);
                await isOn(socket, transport);
            }
        });

        promise(`${name}_is_told_its_auth_and_Invalid_namespace`, { of: echo }, async (t) => {
            const socket = io(`${echo.url}/custom`, { forceNew: true, reconnection: false, ...options, auth: { n: 1 } });
            t.after(() => socket.disconnect());
            assert.deepEqual(await once(socket, 'auth'), [{ n: 1 }]);
            const unwelcome = socket.io.socket('/nowhere');
            const [error] = await once(unwelcome, 'connect_error');
            assert.equal(error.message, 'Invalid namespace');
            assert.ok(socket.connected);
        });

        promise(`${name}_lives_through_heartbeats_of_300_and_200_ms`, { of: echo }, async (t) => {
            const socket = await joined(t, io, options);
            let beats = 0;
            socket.io.on('ping', () => beats++);
            await eventually(() => beats >= 4, 'four heartbeats');
            assert.deepEqual(await acknowledged(socket, 'message-with-ack', 1), [1]);
        });

        promise(`${name}_has_several_namespaces_on_one_connection`, { of: echo }, async (t) => {
            const root = await joined(t, io, options);
            const custom = root.io.socket('/custom');
            await once(custom, 'connect');
            assert.equal(custom.io.engine, root.io.engine);
            assert.notEqual(custom.id, root.id);
            root.disconnect();
            root.connect();
            await once(root, 'connect');
            assert.deepEqual(await acknowledged(root, 'message-with-ack', 1), [1]);
            custom.disconnect();
        });

        promise(`${name}_gets_volatile_events_through`, { of: echo }, async (t) => {
            const socket = await joined(t, io, options);
            let isHeard = false;
            socket.on('message-back', () => (isHeard = true));
            await eventually(() => {
                socket.volatile.emit('message', 'volatile');
                return isHeard;
            }, 'a volatile event to come back');
        });

        promise(`${name}_chats_and_recovers`, {}, async (t) => {
            const room = freshRoom();
            // A list of transports replaces the harness's own; the defaults are the library's.
            const wishes = { room, client: version, options: { transports: undefined, ...options } };
            const anna = await someoneIn(t, stack.urls[0], wishes);
            const bert = await someoneIn(t, stack.urls[1], { room });
            assert.equal((await anna.say('one')).id, '1');
            assert.equal((await bert.say('two')).id, '2');
            await anna.hasSeen(2);
            await isOn(anna.socket, transport);
            anna.socket.auth = { ...anna.socket.auth, serverOffset: anna.messages.at(-1).id }; // what 4.3 recovers by
            anna.dropConnection();
            await anna.left();
            await bert.say('three');
            await anna.joined(2);
            await bert.say('four');
            await anna.hasSeen(4);
            anna.sawExactly(1, 4);
            if (version === 'newest') assert.equal(anna.joins[1].recovered, true);
        });

        promise(`${name}_is_told_that_chat_takes_no_binary_content`, {}, async (t) => {
            const wishes = { room: freshRoom(), client: version, options: { transports: undefined, ...options } };
            const anna = await someoneIn(t, stack.urls[0], wishes);
            assert.equal((await anna.say(Buffer.from('hello'))).code, 'invalid_message');
            assert.equal((await anna.say('fine')).id, '1');
        });
    }

/* --- what only the newest has ----------------------------------------------------------------------------------------- */

const io = CLIENTS.newest;

for (const [way, [options]] of Object.entries(WAYS)) {
    promise(`emitWithAck_and_timeout_work_with_${way}`, { of: echo }, async (t) => {
        const socket = await joined(t, io, options);
        assert.equal(await socket.emitWithAck('message-with-ack', 'x'), 'x');
        assert.deepEqual(await socket.timeout(5000).emitWithAck('message-with-ack', Buffer.from([1])), Buffer.from([1]));
        await assert.rejects(socket.timeout(50).emitWithAck('nobody answers'), /timed out/);
    });

    promise(`retries_and_ackTimeout_work_with_${way}`, { of: echo }, async (t) => {
        const socket = await joined(t, io, { ...options, retries: 2, ackTimeout: 2000 });
        const answers = await Promise.all(
            Array.from({ length: 20 }, (_, n) =>
                within(new Promise((resolve, reject) =>
                    socket.emit('message-with-ack', n, (error, answer) => (error ? reject(error) : resolve(answer))),
                ), 'an acknowledgement'),
            ),
        );
        assert.deepEqual(answers, Array.from({ length: 20 }, (_, n) => n));
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
