/**
 * Engine.IO 4 and Socket.IO 5 as clients in other languages read them: byte for byte.
 */
import assert from 'node:assert/strict';
import { someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { frame, OP, RawWebSocket } from './harness/raw_websocket.mjs';
import { anyStack, freshRoom, ownStack } from './harness/stack.mjs';

const stack = anyStack({ gateways: 1 });
const hasty = ownStack({
    gateways: 1,
    gatewayEnv: { PING_INTERVAL: '300ms', PING_TIMEOUT: '200ms', CONNECT_TIMEOUT: '400ms' },
});

promise('the_open_packet_has_exactly_its_keys', {}, async (t) => {
    const raw = await RawWebSocket.open(t, stack.urls[0]);
    assert.deepEqual(Object.keys(raw.handshake), ['sid', 'upgrades', 'pingInterval', 'pingTimeout', 'maxPayload']);
    assert.deepEqual(raw.handshake.upgrades, []);
    assert.match(raw.handshake.sid, /^[A-Za-z0-9_-]{20}$/);
});

promise('the_defaults_of_the_heartbeat_are_the_reference_servers', { of: stack }, async (t) => {
    const { pingInterval, pingTimeout, maxPayload } = (await RawWebSocket.open(t, stack.urls[0])).handshake;
    assert.deepEqual({ pingInterval, pingTimeout, maxPayload }, { pingInterval: 25000, pingTimeout: 20000, maxPayload: 1000000 });
});

promise('the_connect_reply_is_exactly_sid_and_pid', {}, async (t) => {
    const raw = await RawWebSocket.open(t, stack.urls[0]);
    const room = freshRoom();
    raw.send(`40/${room}`); // without its comma
    const reply = await raw.text();
    assert.match(reply, new RegExp(`^40/${room},\\{"sid":"[^"]+","pid":"[^"]+"\\}$`));
    const { sid } = JSON.parse(reply.slice(`40/${room},`.length));
    assert.notEqual(sid, raw.handshake.sid);
    raw.send('40');
    assert.match(await raw.text(), /^40\{"sid":"[^"]+","pid":"[^"]+"\}$/);
});

promise('nothing_but_a_message_ends_in_a_string', {}, async (t) => {
    const room = freshRoom();
    const raw = await RawWebSocket.join(t, stack.urls[0], room);
    raw.send(`42/${room},1["chat message","hello","a-client-id-of-mine"]`);
    const event = await raw.text();
    const args = JSON.parse(event.slice(event.indexOf('[')));
    const { at } = args[4];
    const [name, content, id, username, info, offset] = args;
    assert.deepEqual(
        [name, content, id, username, info],
        ['chat message', 'hello', '1', 'anonymous', { at, clientId: 'a-client-id-of-mine' }],
    );
    assert.match(offset, /^\d+-1$/);
    assert.equal(await raw.text(), `43/${room},1[{"status":"ok","id":"1","duplicate":false}]`);
    raw.send(`42/${room},["chat message",17]`);
    const error = await raw.text();
    assert.equal(typeof JSON.parse(error.slice(error.indexOf('['))).at(-1), 'object', error);
});

promise('packets_for_a_room_that_was_left_or_never_joined_are_ignored', {}, async (t) => {
    const room = freshRoom();
    const raw = await RawWebSocket.join(t, stack.urls[0], room);
    raw.send(`42/${freshRoom()},1["chat message","nobody hears"]`);
    raw.send(`41/${room},`);
    raw.send(`42/${room},2["chat message","too late"]`);
    raw.send(`43/${room},99[]`);
    raw.send(`40/${room},{"serverOffset":0}`);
    assert.match(await raw.text(), new RegExp(`^40/${room},`));
    raw.send(`42/${room},3["chat message","back"]`);
    assert.match(await raw.text(), /"back","1"/);
    assert.match(await raw.text(), /,3\[\{"status":"ok","id":"1"/);
});

for (const [what, packet] of [
    ['an_unknown_Socket_IO_type', '49'],
    ['an_event_that_is_an_object', '42{}'],
    ['an_event_without_a_name', '42[]'],
    ['an_event_of_broken_JSON', '42["chat message",'],
    ['a_reserved_event_name', '42["disconnect"]'],
    ['an_acknowledgement_without_a_number', '43abc[]'],
    ['auth_that_is_no_object', '40[1]'],
    ['an_unknown_Engine_IO_type', '9'],
    ['a_ping_from_the_client', '2'],
]) {
    promise(`${what}_closes_that_connection`, {}, async (t) => {
        const room = freshRoom();
        const neighbour = await someoneIn(t, stack.urls[0], { room });
        const raw = await RawWebSocket.join(t, stack.urls[0]);
        raw.send(packet);
        await raw.ended();
        assert.equal((await neighbour.say('unharmed')).id, '1');
    });
}

promise('an_event_before_the_room_is_joined_harms_nobody', {}, async (t) => {
    const room = freshRoom();
    const raw = await RawWebSocket.open(t, stack.urls[0]);
    raw.send(`42/${room},["chat message","early"]`);
    const anna = await someoneIn(t, stack.urls[0], { room });
    assert.equal((await anna.say('first')).id, '1');
});

for (const [what, path, message] of [
    ['an_unknown_transport', '/socket.io/?EIO=4&transport=smoke', 'Transport unknown'],
    ['no_transport', '/socket.io/?EIO=4', 'Transport unknown'],
    ['an_unknown_session', '/socket.io/?EIO=4&transport=websocket&sid=nobody', 'Session ID unknown'],
    ['another_protocol_version', '/socket.io/?EIO=3&transport=websocket', 'Unsupported protocol version'],
]) {
    promise(`an_upgrade_with_${what}_is_refused_as_in_the_reference`, {}, async (t) => {
        const raw = await RawWebSocket.ask(t, stack.urls[0], path);
        await raw.ended();
        assert.match(raw.answer, /^HTTP\/1\.1 400 /);
        assert.match(raw.answer, /^connection: close\r$/im);
        assert.match(raw.answer, /^content-type: text\/html/im);
        assert.equal(raw.refusal, message);
    });
}

promise('the_upgrade_is_answered_as_RFC_6455_asks', {}, async (t) => {
    const raw = await RawWebSocket.ask(t, stack.urls[0], '/socket.io/?EIO=4&transport=websocket', {
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', // section 1.3
        'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits',
    });
    assert.match(raw.answer, /^HTTP\/1\.1 101 /);
    assert.match(raw.answer, /^upgrade: websocket\r$/im);
    assert.match(raw.answer, /^connection: upgrade\r$/im);
    assert.match(raw.answer, /^sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r$/im);
    assert.doesNotMatch(raw.answer, /sec-websocket-extensions/i);
});

promise('the_server_pings_and_keeps_who_answers', { of: hasty }, async (t) => {
    const raw = await RawWebSocket.join(t, hasty.urls[0]);
    for (let beat = 0; beat < 3; beat++) {
        const waitedSince = performance.now();
        const { payload } = await raw.frame();
        assert.equal(payload.toString(), '2');
        const waited = performance.now() - waitedSince;
        assert.ok(waited > 200, `a ping comes an interval after the pong, not ${waited} ms`);
        raw.send('3');
    }
});

promise('who_does_not_answer_a_ping_is_let_go', { of: hasty }, async (t) => {
    const raw = await RawWebSocket.join(t, hasty.urls[0]);
    const since = performance.now();
    await raw.ended();
    const lasted = performance.now() - since;
    assert.ok(lasted > 400, `interval and timeout are 500 ms; ended after ${lasted}`);
    assert.equal(raw.frames.filter(({ payload }) => payload.toString() === '2').length, 1);
});

promise('who_sends_a_frame_byte_by_byte_for_ever_is_let_go_like_one_who_is_silent', { of: hasty }, async (t) => {
    for (const begun of [frame({ payload: 'x'.repeat(1000) }).subarray(0, 10), frame({ payload: '4', fin: false })]) {
        const raw = await RawWebSocket.join(t, hasty.urls[0]);
        raw.socket.write(begun);
        // A pong cannot stand within a packet, and none counts that is no packet of Engine.IO.
        const more = setInterval(() => raw.socket.write(begun.length === 10 ? 'x' : frame({ opcode: OP.continuation, payload: 'x', fin: false })), 20);
        t.after(() => clearInterval(more));
        await raw.ended();
    }
});

promise('who_joins_no_room_is_let_go', { of: hasty }, async (t) => {
    const raw = await RawWebSocket.open(t, hasty.urls[0]);
    const { payload } = await raw.frame();
    assert.equal(payload.toString(), '2');
    raw.send('3');
    await raw.ended();
});

promise('leaving_the_last_room_does_not_end_the_connection', { of: hasty }, async (t) => {
    const room = freshRoom();
    const raw = await RawWebSocket.join(t, hasty.urls[0], room);
    raw.send(`41/${room},`);
    for (let beat = 0; beat < 3; beat++) {
        assert.equal((await raw.frame()).payload.toString(), '2');
        raw.send('3');
    }
    raw.send(`40/${room},`);
    assert.match(await raw.text(), new RegExp(`^40/${room},`));
});

promise('the_real_client_lives_through_many_heartbeats', { of: hasty }, async (t) => {
    const anna = await someoneIn(t, hasty.urls[0], { room: freshRoom() });
    let beats = 0;
    anna.socket.io.on('ping', () => {
        beats++;
        anna.changed();
    });
    await anna.until(() => beats >= 4, 'four heartbeats');
    assert.equal((await anna.say('alive')).id, '1');
    assert.equal(anna.leaves.length, 0);
});
