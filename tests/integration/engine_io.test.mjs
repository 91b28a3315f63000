/**
 * Engine.IO 4 over HTTP long-polling, rule by rule, at the wire of the protocol library alone.
 */
import assert from 'node:assert/strict';
import net from 'node:net';
import { gunzipSync } from 'node:zlib';
import { ownEcho } from './harness/echo.mjs';
import { Polling, SEPARATOR, request } from './harness/polling.mjs';
import { promise } from './harness/promise.mjs';
import { OP, RawWebSocket, frame } from './harness/raw_websocket.mjs';
import { eventually } from './harness/wait.mjs';

const MAX_PAYLOAD = 100_000;
const echo = ownEcho('eio-echo', { 'max-payload': MAX_PAYLOAD });

const HANDSHAKE = '/engine.io/?EIO=4&transport=polling';
const websocket = (t, query = 'EIO=4&transport=websocket') => RawWebSocket.ask(t, echo.url, `/engine.io/?${query}`);

/* --- the handshake -------------------------------------------------------------------------------------------------- */

promise('the_open_packet_is_alone_in_the_first_response_with_exactly_its_keys', { of: echo }, async (t) => {
    const { opening, handshake } = await Polling.open(t, echo);
    assert.equal(opening.status, 200);
    assert.equal(opening.headers['content-type'], 'text/plain; charset=UTF-8');
    assert.equal(opening.headers['cache-control'], 'no-store');
    assert.equal(opening.text[0], '0');
    assert.ok(!opening.text.includes(SEPARATOR));
    assert.match(handshake.sid, /^[A-Za-z0-9_-]{20}$/);
    const { sid } = handshake;
    const expected = { sid, upgrades: ['websocket'], pingInterval: 25000, pingTimeout: 20000, maxPayload: MAX_PAYLOAD };
    assert.equal(opening.text.slice(1), JSON.stringify(expected));
});

promise('a_session_on_a_WebSocket_offers_no_upgrades', { of: echo }, async (t) => {
    const raw = await websocket(t);
    const handshake = JSON.parse((await raw.text()).slice(1));
    assert.deepEqual(Object.keys(handshake), ['sid', 'upgrades', 'pingInterval', 'pingTimeout', 'maxPayload']);
    assert.deepEqual(handshake.upgrades, []);
});

const ERRORS = [
    ['an_unknown_transport', 'GET', 'EIO=4&transport=smoke', 0, 'Transport unknown'],
    ['no_transport', 'GET', 'EIO=4', 0, 'Transport unknown'],
    ['an_inherited_name_as_transport', 'GET', 'EIO=4&transport=constructor', 0, 'Transport unknown'],
    ['an_unknown_session', 'GET', 'EIO=4&transport=polling&sid=nobody', 1, 'Session ID unknown'],
    ['an_unknown_session_of_a_POST', 'POST', 'EIO=4&transport=polling&sid=nobody', 1, 'Session ID unknown'],
    ['a_handshake_by_POST', 'POST', 'EIO=4&transport=polling', 2, 'Bad handshake method'],
    ['a_handshake_by_PUT', 'PUT', 'EIO=4&transport=polling', 2, 'Bad handshake method'],
    ['a_WebSocket_without_an_upgrade', 'GET', 'EIO=4&transport=websocket', 3, 'Bad request'],
    ['EIO_3', 'GET', 'EIO=3&transport=polling', 5, 'Unsupported protocol version'],
    ['no_EIO', 'GET', 'transport=polling', 5, 'Unsupported protocol version'],
    // In this order:
    ['an_unknown_transport_and_session', 'POST', 'EIO=3&transport=smoke&sid=nobody', 0, 'Transport unknown'],
    ['an_unknown_session_and_EIO_3', 'POST', 'EIO=3&transport=polling&sid=nobody', 1, 'Session ID unknown'],
    ['a_handshake_by_POST_with_EIO_3', 'POST', 'EIO=3&transport=websocket', 2, 'Bad handshake method'],
    ['a_WebSocket_without_an_upgrade_with_EIO_3', 'GET', 'EIO=3&transport=websocket', 3, 'Bad request'],
];

for (const [what, method, query, code, message] of ERRORS) {
    promise(`${what}_is_refused_with_code_${code}`, { of: echo }, async () => {
        const answer = await request(echo.url, `/engine.io/?${query}`, { method, headers: { Origin: 'http://a.example' } });
        assert.equal(answer.status, 400);
        assert.equal(answer.headers['content-type'], 'application/json');
        assert.equal(answer.text, JSON.stringify({ code, message }));
        assert.equal(answer.headers['access-control-allow-origin'], '*');
    });
}

for (const [what, query, message] of [
    ['an_unknown_transport', 'EIO=4&transport=smoke', 'Transport unknown'],
    ['an_unknown_session', 'EIO=4&transport=websocket&sid=nobody', 'Session ID unknown'],
    ['transport_polling', 'EIO=4&transport=polling', 'Bad request'],
    ['EIO_3', 'EIO=3&transport=websocket', 'Unsupported protocol version'],
]) {
    promise(`a_WebSocket_upgrade_with_${what}_is_refused_as_text_and_the_connection_closed`, { of: echo }, async (t) => {
        const raw = await websocket(t, query);
        await raw.ended();
        assert.match(raw.answer, /^HTTP\/1\.1 400 /);
        assert.match(raw.answer, /^connection: close\r$/im);
        assert.match(raw.answer, /^content-type: text\/html\r$/im);
        assert.equal(raw.refusal, message);
    });
}

promise('characters_that_no_Origin_has_are_refused_with_code_3_before_the_session_is_looked_up', { of: echo }, async () => {
    const { hostname, port } = new URL(echo.url);
    const answer = await new Promise((resolve) => {
        let text = '';
        const socket = net.connect(Number(port), hostname, () =>
            socket.end(`GET ${HANDSHAKE}&sid=nobody HTTP/1.1\r\nHost: x\r\nOrigin: http://a\x01b\r\nConnection: close\r\n\r\n`),
        );
        socket.on('data', (data) => (text += data)).on('close', () => resolve(text)).on('error', () => {});
    });
    assert.match(answer, /^HTTP\/1\.1 400 /);
    // libh2o may refuse such a header itself.
    assert.ok(answer.includes('{"code":3,"message":"Bad request"}') || answer.includes('Bad Request'), answer);
});

/* --- payloads ------------------------------------------------------------------------------------------------------- */

promise('a_POST_is_answered_with_ok_as_text_html', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const answer = await polling.post('4hello');
    assert.equal(answer.status, 200);
    assert.equal(answer.text, 'ok');
    assert.match(answer.headers['content-type'], /^text\/html$/);
    assert.equal(await polling.packet(), '4hello');
});

promise('a_payload_holds_several_packets_in_both_directions', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const texts = ['4one', '4', '4ümläut 😀', '4two\nlines'];
    await polling.post(texts.join(SEPARATOR));
    assert.equal((await polling.get()).text, texts.join(SEPARATOR));
});

promise('binary_is_base64_over_polling_in_both_directions', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    for (const bytes of [Buffer.from([1, 2, 3, 4]), Buffer.alloc(0), Buffer.from([0xfb, 0xff, 0xfe])]) {
        const packet = `b${bytes.toString('base64')}`;
        await polling.post(`4text${SEPARATOR}${packet}`);
        assert.equal((await polling.get()).text, `4text${SEPARATOR}${packet}`);
    }
});

promise('base64_with_line_breaks_is_read_as_the_Java_client_writes_it', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const bytes = Buffer.alloc(200, 7);
    await polling.post(`b${bytes.toString('base64').replace(/.{76}/g, '$&\n')}\n`);
    assert.equal(await polling.packet(), `b${bytes.toString('base64')}`);
});

promise('a_GET_waits_for_what_comes_later', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const waiting = polling.get();
    await polling.post('4later');
    assert.equal((await waiting).text, '4later');
});

promise('a_POST_of_octet_stream_is_refused_and_the_session_is_dead', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const answer = await polling.post(Buffer.from([4, 1]), { 'Content-Type': 'application/octet-stream' });
    assert.equal(answer.status, 400);
    assert.equal(await polling.isKnown(), false);
});

promise('a_body_of_the_maximum_is_read_and_one_byte_more_is_413', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const largest = `4${'x'.repeat(MAX_PAYLOAD - 1)}`;
    assert.equal((await polling.post(largest)).status, 200);
    assert.equal(await polling.packet(), largest);
    for (const length of [MAX_PAYLOAD + 1, MAX_PAYLOAD * 2 + 1]) {
        const answer = await polling.post('4'.repeat(length), { Origin: 'http://a.example' });
        assert.equal(answer.status, 413);
    }
    const over = await request(echo.url, polling.target, {
        method: 'POST',
        body: '4'.repeat(MAX_PAYLOAD + 1),
        headers: { Origin: 'http://a.example' },
    });
    assert.equal(over.headers['access-control-allow-origin'], '*');
});

promise('a_chunked_body_is_limited_likewise', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const { hostname, port } = new URL(echo.url);
    const postChunked = (size) =>
        new Promise((resolve) => {
            let text = '';
            const socket = net.connect(Number(port), hostname, () => {
                socket.write(
                    `POST ${polling.target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n`,
                );
                socket.write(`${size.toString(16)}\r\n4${'x'.repeat(size - 1)}\r\n0\r\n\r\n`);
            });
            socket.on('data', (data) => (text += data)).on('close', () => resolve(text)).on('error', () => {});
        });
    assert.match(await postChunked(1000), /^HTTP\/1\.1 200 /);
    assert.equal((await polling.packet()).length, 1000);
    assert.match(await postChunked(MAX_PAYLOAD + 1), /^HTTP\/1\.1 413 /);
});

promise('a_malformed_payload_closes_the_session', { of: echo }, async (t) => {
    for (const body of ['abc', '', `4ok${SEPARATOR}`, 'b*', '2']) {
        const polling = await Polling.open(t, echo);
        const waiting = polling.get();
        await polling.post(body);
        assert.equal(await polling.isKnown(), false, JSON.stringify(body));
        await waiting;
    }
});

promise('large_answers_are_compressed_where_that_is_accepted', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    for (const [length, accepted, isPacked] of [
        [1024, 'gzip, deflate', false],
        [1025, 'gzip, deflate', true],
        [5000, 'identity', false],
        [5000, undefined, false],
        [5000, 'gzip;q=0', false],
    ]) {
        const text = `4${'x'.repeat(length - 1)}`;
        await polling.post(text);
        const answer = await polling.get(accepted && { 'Accept-Encoding': accepted });
        assert.equal(answer.headers['content-encoding'], isPacked ? 'gzip' : undefined, `${length} ${accepted}`);
        assert.equal((isPacked ? gunzipSync(answer.bytes) : answer.bytes).toString(), text);
    }
});

/* --- two at a time, aborts, ends ------------------------------------------------------------------------------------ */

promise('a_second_GET_ends_the_session_the_first_gets_1_the_second_400', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const first = polling.get();
    await pastThe(polling);
    const second = await polling.get();
    assert.equal(second.status, 400);
    assert.deepEqual([(await first).status, (await first).text], [200, '1']);
    assert.equal(await polling.isKnown(), false);
});

promise('an_aborted_GET_ends_the_session_at_once', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const waiting = polling.get();
    await pastThe(polling);
    waiting.abort();
    const since = performance.now();
    await eventually(async () => !(await polling.isKnown()), 'the session to be over');
    assert.ok(performance.now() - since < 1000, 'at once, not with the heartbeat');
});

promise('a_GET_that_the_peer_has_half_closed_ends_the_session', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const { hostname, port } = new URL(echo.url);
    const socket = net.connect(Number(port), hostname);
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    socket.end(`GET ${polling.target} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await eventually(async () => !(await polling.isKnown()), 'the session to be over');
});

promise('an_aborted_POST_leaves_nothing_half_read', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const { hostname, port } = new URL(echo.url);
    const socket = net.connect(Number(port), hostname);
    socket.on('error', () => {});
    socket.write(`POST ${polling.target} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n4half`);
    await pastThe(polling);
    socket.destroy();
    await polling.post('4whole');
    assert.equal(await polling.packet(), '4whole');
});

promise('a_client_that_sends_1_is_gone_and_its_waiting_GET_gets_6', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const waiting = polling.get();
    await pastThe(polling);
    assert.equal((await polling.post('1')).text, 'ok');
    assert.equal((await waiting).text, '6');
    assert.equal(await polling.isKnown(), false);
});

promise('a_session_on_a_WebSocket_is_no_longer_to_be_had_by_polling', { of: echo }, async (t) => {
    const raw = await websocket(t);
    const { sid } = JSON.parse((await raw.text()).slice(1));
    const answer = await request(echo.url, `${HANDSHAKE}&sid=${sid}`);
    assert.deepEqual([answer.status, answer.text], [400, '{"code":3,"message":"Bad request"}']);
    raw.send('4still here');
    assert.equal(await raw.text(), '4still here');
});

promise('a_request_of_a_session_that_is_neither_GET_nor_POST_is_refused', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    for (const method of ['PUT', 'DELETE', 'PATCH'])
        assert.equal((await request(echo.url, polling.target, { method })).status, 400);
    assert.equal(await polling.isKnown(), true);
});

/* --- WebSocket ------------------------------------------------------------------------------------------------------ */

promise('a_WebSocket_carries_one_packet_a_frame_text_and_binary', { of: echo }, async (t) => {
    const raw = await websocket(t);
    await raw.text();
    const bytes = Buffer.from([0, 1, 2, 255]);
    raw.write(Buffer.concat([frame({ payload: '4one' }), frame({ opcode: OP.binary, payload: bytes }), frame({ payload: '4' })]));
    assert.equal(await raw.text(), '4one');
    const binary = await raw.frame();
    assert.deepEqual([binary.opcode, binary.payload], [OP.binary, bytes]);
    assert.equal(await raw.text(), '4');
});

for (const [what, bytes, code] of [
    ['an_unknown_packet', frame({ payload: 'abc' }), 1002],
    ['an_empty_packet', frame({ payload: '' }), 1002],
    ['a_ping_of_the_client_outside_a_probe', frame({ payload: '2' }), 1002],
    ['a_packet_over_the_maximum', frame({ payload: '4'.repeat(MAX_PAYLOAD + 1) }), 1009],
]) {
    promise(`${what}_closes_the_WebSocket_with_${code}`, { of: echo }, async (t) => {
        const raw = await websocket(t);
        await raw.text();
        raw.write(bytes);
        assert.equal(await raw.closeCode(), code);
        await raw.ended();
    });
}

promise('a_client_that_closes_its_WebSocket_session_gets_no_packet_1', { of: echo }, async (t) => {
    const raw = await websocket(t);
    await raw.text();
    raw.send('1');
    await raw.ended();
    assert.deepEqual(raw.frames.filter(({ opcode }) => opcode === OP.text).length, 1);
});

/* --- cross-origin --------------------------------------------------------------------------------------------------- */

promise('a_preflight_request_is_answered_with_204', { of: echo }, async () => {
    const headers = { Origin: 'http://a.example', 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'x-mine' };
    for (const target of [HANDSHAKE, '/engine.io/?EIO=4&transport=polling&sid=nobody']) {
        const answer = await request(echo.url, target, { method: 'OPTIONS', headers });
        assert.equal(answer.status, 204);
        assert.equal(answer.text, '');
        assert.equal(answer.headers['access-control-allow-origin'], '*');
        assert.match(answer.headers['access-control-allow-methods'], /GET.*POST/);
        assert.equal(answer.headers['access-control-allow-headers'], 'x-mine');
    }
});

promise('every_answer_of_polling_may_be_read_by_other_origins', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const posted = await polling.post('4x');
    const got = await polling.get();
    for (const answer of [polling.opening, posted, got]) assert.equal(answer.headers['access-control-allow-origin'], '*');
});

/** Waits until the server has read a GET that was sent before: requests on other connections are answered after it. */
async function pastThe(polling) {
    for (let i = 0; i < 3; i++) await polling.isKnown();
}
