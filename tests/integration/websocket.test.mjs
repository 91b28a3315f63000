/**
 * RFC 6455 on the wire: what it allows works, what it forbids closes that connection with the right code, and nobody
 * else notices.
 */
import assert from 'node:assert/strict';
import { someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { OP, RawWebSocket, frame } from './harness/raw_websocket.mjs';
import { anyStack, freshRoom } from './harness/stack.mjs';

const stack = anyStack({ gateways: 1 });

const PAYLOAD_BYTES_MAX = 1_000_000;

const invalidUtf8 = Buffer.from([0x34, 0x32, 0xc3, 0x28]);
const closePayload = (code, reason = '') => Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]);

for (const [what, bytes, code] of [
    ['an_unmasked_frame', frame({ payload: '2', isMasked: false }), 1002],
    ['a_reserved_bit', frame({ payload: '3', reserved: 4 }), 1002],
    ['the_third_reserved_bit', frame({ payload: '3', reserved: 1 }), 1002],
    ['a_length_of_2_to_the_63', frame({ claimedLength: 1n << 63n }), 1002],
    ['a_length_of_2_to_the_62', frame({ claimedLength: 1n << 62n }), 1009],
    ['a_length_one_over_the_limit', frame({ claimedLength: BigInt(PAYLOAD_BYTES_MAX + 1) }), 1009],
    ['invalid_UTF_8', frame({ payload: invalidUtf8 }), 1007],
    ['a_surrogate_in_UTF_8', frame({ payload: Buffer.from([0x34, 0xed, 0xa0, 0x80]) }), 1007],
    ['a_text_that_ends_within_a_character', frame({ payload: Buffer.from([0x34, 0xc3]) }), 1007],
    ['an_unknown_opcode', frame({ opcode: 0x3 }), 1002],
    ['an_unknown_control_opcode', frame({ opcode: 0xb }), 1002],
    ['a_fragmented_ping', frame({ opcode: OP.ping, fin: false }), 1002],
    ['a_ping_over_125_bytes', frame({ opcode: OP.ping, payload: 'x'.repeat(126) }), 1002],
    ['a_continuation_of_nothing', frame({ opcode: OP.continuation, payload: 'x' }), 1002],
    [
        'a_new_message_within_a_fragmented_one',
        Buffer.concat([frame({ payload: '42', fin: false }), frame({ payload: '42' })]),
        1002,
    ],
    [
        'fragments_that_together_are_over_the_limit',
        Buffer.concat([
            frame({ payload: 'x'.repeat(PAYLOAD_BYTES_MAX), fin: false }),
            frame({ opcode: OP.continuation, payload: 'x' }),
        ]),
        1009,
    ],
    ['a_close_of_one_byte', frame({ opcode: OP.close, payload: 'x' }), 1002],
    ['a_close_with_a_code_that_must_not_be_sent', frame({ opcode: OP.close, payload: closePayload(1005) }), 1002],
    ['a_close_with_an_unassigned_code', frame({ opcode: OP.close, payload: closePayload(999) }), 1002],
    ['a_close_whose_reason_is_invalid_UTF_8', frame({ opcode: OP.close, payload: closePayload(1000, Buffer.from([0xff])) }), 1007],
]) {
    promise(`${what}_closes_that_connection_with_${code}_and_nobody_else_notices`, {}, async (t) => {
        const room = freshRoom();
        const [neighbour, offender] = await Promise.all([
            someoneIn(t, stack.urls[0], { room }),
            RawWebSocket.join(t, stack.urls[0], room),
        ]);
        offender.write(bytes);
        assert.equal(await offender.closeCode(), code);
        await offender.ended();
        assert.equal((await neighbour.say('unharmed')).id, '1');
        assert.equal(neighbour.leaves.length, 0);
    });
}

promise('a_fragmented_text_with_a_ping_between_its_frames_is_one_message', {}, async (t) => {
    const room = freshRoom();
    const raw = await RawWebSocket.join(t, stack.urls[0], room, { echo: false });
    const packet = Buffer.from(`42/${room},7["chat message","zerstückelt 😀"]`);
    const inFace = packet.indexOf(Buffer.from('😀')) + 2; // cut within a character
    raw.write(frame({ payload: packet.subarray(0, 5), fin: false }));
    raw.write(frame({ opcode: OP.ping, payload: 'still there?' }));
    raw.write(frame({ opcode: OP.continuation, payload: packet.subarray(5, inFace), fin: false }));
    raw.write(frame({ opcode: OP.continuation, payload: '', fin: false }));
    raw.write(frame({ opcode: OP.continuation, payload: packet.subarray(inFace) }));
    const pong = await raw.frame();
    assert.deepEqual([pong.opcode, pong.payload.toString()], [OP.pong, 'still there?']);
    assert.match(await raw.text(), /^43.*7\[\{"status":"ok","id":"1"/);
    const reader = await someoneIn(t, stack.urls[0], { room });
    await reader.hasSeen(1);
    assert.deepEqual(reader.contents, ['zerstückelt 😀']);
});

promise('a_frame_may_come_byte_by_byte_and_many_at_once', {}, async (t) => {
    const room = freshRoom();
    const raw = await RawWebSocket.join(t, stack.urls[0], room, { echo: false });
    for (const byte of frame({ payload: `42/${room},1["chat message","slowly"]` })) raw.write(Buffer.from([byte]));
    assert.match(await raw.text(), /^43.*1\[\{"status":"ok","id":"1"/);
    const packets = [2, 3, 4].map((n) => frame({ payload: `42/${room},${n}["chat message","${n}"]` }));
    raw.write(Buffer.concat(packets));
    for (const n of [2, 3, 4]) assert.match(await raw.text(), new RegExp(`,${n}\\[\\{"status":"ok","id":"${n}"`));
});

promise('a_ping_is_answered_with_its_payload_and_a_pong_is_ignored', {}, async (t) => {
    const raw = await RawWebSocket.open(t, stack.urls[0]);
    for (const payload of ['', 'x', 'y'.repeat(125)]) {
        raw.write(frame({ opcode: OP.pong, payload: 'unasked' }));
        raw.write(frame({ opcode: OP.ping, payload }));
        const pong = await raw.frame();
        assert.deepEqual([pong.opcode, pong.payload.toString()], [OP.pong, payload]);
    }
});

promise('a_close_is_answered_with_its_code', {}, async (t) => {
    for (const [payload, code] of [
        [closePayload(1000, 'bye'), 1000],
        [closePayload(4999), 4999],
        ['', null],
    ]) {
        const raw = await RawWebSocket.join(t, stack.urls[0], freshRoom());
        raw.answersClose = false; // it is the answer
        raw.write(frame({ opcode: OP.close, payload }));
        assert.equal(await raw.closeCode(), code);
        await raw.ended();
    }
});

promise('who_does_not_answer_a_close_is_let_go', {}, async (t) => {
    const raw = await RawWebSocket.open(t, stack.urls[0]);
    raw.answersClose = false;
    raw.write(frame({ payload: '2', isMasked: false }));
    assert.equal(await raw.closeCode(), 1002);
    await raw.ended();
});

promise('a_connection_that_just_ends_harms_nobody', {}, async (t) => {
    const room = freshRoom();
    const neighbour = await someoneIn(t, stack.urls[0], { room });
    for (const end of ['destroy', 'resetAndDestroy', 'end']) {
        const raw = await RawWebSocket.join(t, stack.urls[0], room);
        raw.write(frame({ payload: `42/${room},["chat message"` }).subarray(0, 9));
        raw.socket[end]();
    }
    assert.equal((await neighbour.say('unharmed')).id, '1');
});

promise('a_packet_of_the_largest_size_is_read', {}, async (t) => {
    const room = freshRoom();
    const raw = await RawWebSocket.join(t, stack.urls[0], room);
    const head = `42/${room},5["chat message","`;
    const packet = head + 'x'.repeat(PAYLOAD_BYTES_MAX - head.length - 2) + '"]';
    raw.send(packet);
    assert.match(await raw.text(), /^43.*5\[\{"status":"error","code":"too_large"/);
});

// Each joins, speaks and goes within a few ms, one byte a write, so that the gateway's threads are busy all the time.
promise('among_thousands_of_short_connections_each_gets_its_own_bytes', {}, async (t) => {
    const rooms = Array.from({ length: 7 }, freshRoom);
    let begun = 0;
    const speak = async () => {
        while (begun < 6000) {
            const n = begun++;
            const room = rooms[n % rooms.length];
            const raw = await RawWebSocket.join(t, stack.urls[0], room, { echo: false });
            for (const byte of frame({ payload: `42/${room},1["chat message","from ${n}"]` })) {
                raw.write(Buffer.from([byte]));
                await new Promise(setImmediate);
            }
            await raw.textLike((text) => text.startsWith(`43/${room},1[{"status":"ok"`));
            raw.socket.destroy();
        }
    };
    await Promise.all(Array.from({ length: 16 }, speak));
});
