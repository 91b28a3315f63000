/**
 * What happens at the limits that one client can reach, and that it costs the others nothing.
 */
import assert from 'node:assert/strict';
import { range, someone, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { RawWebSocket } from './harness/raw_websocket.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';

const CONNECTIONS_MAX = 12;
const ROOMS_MAX = 3;

const stack = ownStack({
    gateways: 1,
    gatewayEnv: {
        CONNECTIONS_MAX: String(CONNECTIONS_MAX),
        ROOMS_PER_CLIENT_MAX: String(ROOMS_MAX),
        // So little that a reader who falls behind must be served from the store.
        ROOM_LOG_BYTES_MAX: '128KiB',
        LOG_BYTES_MAX: '16MiB',
        ROOM_GRACE: '0ms',
    },
});

promise('a_reader_that_stops_reading_costs_nobody_anything_and_gets_all_of_it_later', { of: stack }, async (t) => {
    const room = freshRoom();
    const sleeper = await RawWebSocket.join(t, stack.gateways[0].url, room, { serverOffset: 0 });
    const anna = await someoneIn(t, stack.urls[0], { room });
    sleeper.socket.pause();

    // More than all the sockets' buffers between the two hold.
    const count = 2000;
    const text = 'x'.repeat(8000);
    for (let sent = 0; sent < count; sent += 100)
        await Promise.all(range(sent + 1, sent + 100).map((n) => anna.say(`${n} ${text}`)));
    anna.sawExactly(1, count);
    const metrics = await stack.gateways[0].metrics();
    const resident = Number(metrics.match(/^process_resident_memory_bytes (\S+)/m)?.[1] ?? 0);
    assert.ok(resident < 64 * 1024 * 1024, `memory is bounded: ${resident}`);

    sleeper.socket.resume();
    for (const n of range(1, count)) {
        const packet = await sleeper.text();
        assert.ok(packet.startsWith(`42/${room},["chat message","${n} x`), `message ${n}: ${packet.slice(0, 80)}`);
    }
});

promise('an_old_message_is_served_from_the_store_when_memory_has_forgotten_it', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const text = 'y'.repeat(1000);
    await Promise.all(range(1, 900).map((n) => anna.say(`${n} ${text}`)));
    for (const offset of [0, 1, 255, 256, 257, 511, 512, 640, 899]) {
        const reader = await someoneIn(t, stack.urls[0], { room, auth: { serverOffset: offset } });
        await reader.hasSeen(900);
        reader.sawExactly(offset + 1, 900);
        assert.deepEqual(reader.contents.map((content) => parseInt(content, 10)), range(offset + 1, 900));
        assert.deepEqual(reader.gaps, []);
        reader.goHome();
    }
});

promise('a_room_that_everybody_left_is_found_again_as_it_was', { of: stack }, async (t) => {
    const rooms = range(1, CONNECTIONS_MAX / 2).map(() => freshRoom());
    for (const round of range(1, 5)) {
        const people = await Promise.all(
            rooms.map((room) => someoneIn(t, stack.urls[0], { room, auth: { serverOffset: 0 } })),
        );
        for (const person of people) {
            assert.equal((await person.say(`${round}`)).id, String(round));
            person.sawExactly(1, round);
            person.goHome();
        }
    }
});

promise('a_full_gateway_refuses_with_503_and_lets_in_when_there_is_room_again', { of: stack }, async (t) => {
    const guests = [];
    for (;;) {
        const guest = await RawWebSocket.ask(t, stack.gateways[0].url, '/socket.io/?EIO=4&transport=websocket');
        if (!guest.answer.startsWith('HTTP/1.1 101')) {
            assert.match(guest.answer, /^HTTP\/1\.1 503 /);
            break;
        }
        guests.push(guest);
        assert.ok(guests.length <= CONNECTIONS_MAX, `${guests.length} connections`);
    }
    // A client that is refused at the handshake comes again, by itself.
    const anna = someone(t, stack.urls[0], { room: freshRoom() });
    await anna.until(() => anna.refusals.length > 0, 'a refusal');
    for (const guest of guests) guest.socket.destroy();
    await anna.joined();
});

promise('a_connection_in_too_many_rooms_stays_in_those_that_it_has', { of: stack }, async (t) => {
    const rooms = range(1, ROOMS_MAX).map(() => freshRoom());
    const raw = await RawWebSocket.join(t, stack.gateways[0].url, rooms[0]);
    for (const room of rooms.slice(1)) {
        raw.send(`40/${room},`);
        assert.match(await raw.text(), new RegExp(`^40/${room},`));
    }
    const tooMany = freshRoom();
    raw.send(`40/${tooMany},`);
    assert.match(await raw.text(), new RegExp(`^44/${tooMany},\\{"message":"`));
    for (const room of rooms) {
        raw.send(`42/${room},1["chat message","hello"]`);
        await raw.textLike((text) => text.startsWith(`43/${room},1[{"status":"ok"`));
    }
    raw.send(`41/${rooms[0]},`);
    raw.send(`40/${tooMany},`);
    await raw.textLike((text) => text.startsWith(`40/${tooMany},`));
});
