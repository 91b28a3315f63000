/**
 * What happens at the limits that one client can reach, and that it costs the others nothing.
 */
import assert from 'node:assert/strict';
import net from 'node:net';
import { metric } from './harness/memory.mjs';
import { range, someone, someoneIn } from './harness/person.mjs';
import { Polling } from './harness/polling.mjs';
import { promise } from './harness/promise.mjs';
import { RawWebSocket } from './harness/raw_websocket.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

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

/** Undefined: not set, so that the gateway's own defaults count. */
const defaults = ownStack({ gateways: 1, gatewayEnv: { CLIENT_RATE: undefined, ROOM_RATE: undefined, CONNECTIONS_PER_ADDRESS_MAX: undefined } });

const crowded = ownStack({ gateways: 1, gatewayEnv: { ROOMS_MAX: '4', ROOMS_PER_ADDRESS_MAX: '3', CONNECTIONS_PER_ADDRESS_MAX: undefined } });
const roomy = ownStack({ gateways: 1, gatewayEnv: { ROOMS_PER_ADDRESS_MAX: undefined, CONNECTIONS_PER_ADDRESS_MAX: undefined } });
const vast = ownStack({ gateways: 1 });

/** ThreadSanitizer takes memory of its own. */
const isWatched = 'TSAN_OPTIONS' in process.env && 'its memory is ThreadSanitizer\'s';

promise('a_reader_that_stops_reading_costs_nobody_anything_and_gets_all_of_it_later', { of: stack, skip: isWatched }, async (t) => {
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
    const [gateway] = stack.gateways;
    await eventually(async () => metric(await gateway.metrics(), 'parley_clients') === 0, 'everybody to have left');
    const guests = [];
    for (;;) {
        const guest = await RawWebSocket.ask(t, stack.gateways[0].url, '/socket.io/?EIO=4&transport=websocket');
        if (!guest.answer.startsWith('HTTP/1.1 101')) {
            assert.match(guest.answer, /^HTTP\/1\.1 503 /);
            break;
        }
        guests.push(guest);
    }
    assert.equal(guests.length, CONNECTIONS_MAX);
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

promise('by_default_a_connection_is_in_a_hundred_rooms_and_not_in_one_more', { of: defaults }, async (t) => {
    const raw = await RawWebSocket.open(t, defaults.gateways[0].url);
    for (const room of range(1, 100).map(() => freshRoom())) {
        raw.send(`40/${room},`);
        assert.match(await raw.text(), new RegExp(`^40/${room},`));
    }
    const tooMany = freshRoom();
    raw.send(`40/${tooMany},`);
    assert.match(await raw.text(), new RegExp(`^44/${tooMany},\\{"message":"`));
});

promise('by_default_a_packet_has_a_million_bytes_and_not_one_more_over_either_transport', { of: defaults }, async (t) => {
    const MAX = 1_000_000;
    const { url } = defaults.gateways[0];
    const packet = (bytes) => `6${'x'.repeat(bytes - 1)}`; // a noop: it means nothing
    for (const [bytes, status] of [[MAX, 200], [MAX + 1, 413]]) {
        const polling = await Polling.open(t, { url, path: '/socket.io/' });
        assert.equal(polling.handshake.maxPayload, MAX);
        assert.equal((await polling.post(packet(bytes))).status, status);
    }
    const raw = await RawWebSocket.open(t, url);
    raw.send(packet(MAX));
    raw.send('40');
    assert.match(await raw.text(), /^40\{/);
    raw.send(packet(MAX + 1));
    assert.equal(await raw.closeCode(), 1009);
});

promise('a_head_of_16_KiB_is_read_and_one_byte_more_is_431', { of: defaults }, async () => {
    const { port } = defaults.gateways[0];
    const head = (bytes) => {
        const [begin, end] = ['GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: a\r\nx: ', '\r\n\r\n'];
        return begin + 'x'.repeat(bytes - begin.length - end.length) + end;
    };
    const ask = (text) =>
        new Promise((resolve) => {
            const socket = net.connect(port, '127.0.0.1', () => socket.write(text));
            socket.on('error', () => {});
            socket.once('data', (data) => resolve(String(data).split('\r\n')[0])).on('close', () => resolve('closed'));
            socket.once('data', () => socket.destroy());
        });
    assert.equal(await ask(head(16384)), 'HTTP/1.1 200 OK');
    assert.match(await ask(head(16385)), /^HTTP\/1\.1 431 /);
    // What is far too long is not even read to its end.
    assert.match(await ask(head(1_000_000)), /^(HTTP\/1\.1 4\d\d .*|closed)$/);
});

/** Asks to join a room. Resolves to what is said of it: 'joined', or why not. */
async function ask(raw, room) {
    raw.send(`40/${room},`);
    const answer = await raw.textLike((text) => text.startsWith(`40/${room},`) || text.startsWith(`44/${room},`));
    return answer.startsWith('40') ? 'joined' : JSON.parse(answer.slice(answer.indexOf(',') + 1)).message;
}

/** Joins hundreds of new rooms, each hundred over a connection of its own, some of these at a time. */
async function fill(t, url, hundreds) {
    const someHundreds = async () => {
        while (hundreds-- > 0) {
            const raw = await RawWebSocket.open(t, url);
            const rooms = range(1, 100).map(() => freshRoom());
            for (const room of rooms) raw.send(`40/${room},`);
            const answers = [];
            while (answers.length < 100) answers.push((await raw.text()).replace(/,.*/, ''));
            assert.deepEqual(answers.sort(), rooms.map((room) => `40/${room}`).sort());
        }
    };
    await Promise.all(range(1, 10).map(someHundreds));
}

/** Asks to join a room that has no place: is not answered, and some time later the connection closes, so that its library comes back. */
async function isSentAway(raw, room) {
    raw.send(`40/${room},`);
    await assert.rejects(raw.textLike((text) => text.includes(room)), /closed: 1013/);
}

const ADDRESS_FULL = 'Too many rooms are open from your address';

promise('an_address_opens_so_many_rooms_and_all_together_so_many_and_whoever_leaves_one_makes_room', { of: crowded }, async (t) => {
    const { url } = crowded.gateways[0];
    const [anna, carl, bob, dora] = await Promise.all(
        ['127.0.0.1', '127.0.0.1', '127.0.0.2', '127.0.0.2'].map((localAddress) => RawWebSocket.open(t, url, { localAddress })),
    );
    const rooms = range(1, 5).map(() => freshRoom());
    for (const room of rooms.slice(0, 3)) assert.equal(await ask(anna, room), 'joined');
    assert.equal(await ask(carl, rooms[3]), ADDRESS_FULL);
    assert.equal(await ask(carl, rooms[0]), 'joined', 'a room that is open is not opened');
    assert.equal(await ask(bob, rooms[3]), 'joined');
    assert.equal(await ask(carl, rooms[3]), 'joined');
    await isSentAway(dora, rooms[4]);
    anna.send(`41/${rooms[2]},`);
    anna.send(`42/${rooms[0]},1["chat message","behind it"]`);
    await anna.textLike((text) => text.startsWith(`43/${rooms[0]},1`));
    assert.equal(await ask(bob, rooms[4]), 'joined', 'a room that nobody is in does not stay for its grace time');
    const metrics = await crowded.gateways[0].metrics();
    assert.match(metrics, /^parley_rooms 4$/m);
    assert.match(metrics, /^parley_rooms_limit 4$/m);
    assert.match(metrics, /^parley_rooms_refused_total\{reason="address"\} 1$/m);
    assert.match(metrics, /^parley_rooms_refused_total\{reason="full"\} 1$/m);
});

promise('by_default_an_address_opens_five_thousand_rooms_and_not_one_more', { of: roomy }, async (t) => {
    const { url } = roomy.gateways[0];
    await fill(t, url, 50);
    assert.equal(await ask(await RawWebSocket.open(t, url), freshRoom()), ADDRESS_FULL);
    assert.equal(await ask(await RawWebSocket.open(t, url, { localAddress: '127.0.0.2' }), freshRoom()), 'joined');
});

promise('by_default_fifty_thousand_rooms_are_open_and_not_one_more', { of: vast, timeoutMs: 180_000 }, async (t) => {
    const { url } = vast.gateways[0];
    await fill(t, url, 500);
    await isSentAway(await RawWebSocket.open(t, url), freshRoom());
});
