/**
 * TLS in the gateway: all of Socket.IO over it, certificates that change, and what is refused.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, renameSync, copyFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import tls from 'node:tls';
import { Authority } from './harness/certificates.mjs';
import { range, someone, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { frame } from './harness/raw_websocket.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'parley-tls-'));
after(() => rmSync(folder, { recursive: true }));
const authority = new Authority(folder);
const first = authority.issue('first');
const [cert, key] = ['gateway.pem', 'gateway.key'].map((name) => path.join(folder, name));
copyFileSync(first.certFile, cert);
copyFileSync(first.keyFile, key);

const stack = ownStack({ gateways: 2, gatewayEnv: { TLS_CERT_FILE: cert, TLS_KEY_FILE: key } });
const full = ownStack({ gateways: 1, gatewayEnv: { TLS_CERT_FILE: cert, TLS_KEY_FILE: key, CONNECTIONS_MAX: '3' } });
const plain = ownStack({ gateways: 1 });
const ca = authority.certificate;
const secure = (url) => url.replace('http:', 'https:');

/** A Socket.IO client's way to a gateway with our certificate. */
const over = (transports) => ({ transports, ca });

const get = (url, options = {}) =>
    new Promise((resolve, reject) => {
        https.get(url, { ca, agent: false, ...options }, (answer) => {
            const chunks = [];
            answer.on('data', (chunk) => chunks.push(chunk));
            answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks), socket: answer.socket }));
        }).on('error', reject);
    });

/** A TLS connection, by itself. */
const connect = (port, options = {}) =>
    new Promise((resolve, reject) => {
        const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca, ...options }, () => resolve(socket));
        socket.on('error', reject);
    });

for (const [way, transports] of [
    ['a_WebSocket', ['websocket']],
    ['polling', ['polling']],
    ['polling_and_its_upgrade', ['polling', 'websocket']],
])
    promise(`people_talk_over_${way}`, { of: stack }, async (t) => {
        const room = freshRoom();
        const people = await Promise.all(stack.urls.map((url) => someoneIn(t, secure(url), { room, options: over(transports) })));
        if (transports.length === 2) for (const { socket } of people) await eventually(() => socket.io.engine.transport.name === 'websocket', 'the upgrade');
        const acks = await Promise.all(range(1, 200).map((n) => people[n % 2].say(`${n}`)));
        assert.ok(acks.every(({ status }) => status === 'ok'));
        for (const person of people) {
            await person.hasSeen(200);
            person.sawExactly(1, 200);
        }
    });

promise('a_session_whose_requests_each_come_to_another_gateway_goes_on_and_upgrades', { of: stack }, async (t) => {
    const room = freshRoom();
    const door = await stack.door(0);
    let connections = 0;
    door.leadTo(() => stack.gateways[connections++ % 2].port);
    const anna = await someoneIn(t, secure(door.url), { room, options: over(['polling', 'websocket']) });
    await eventually(() => anna.socket.io.engine.transport.name === 'websocket', 'the upgrade');
    assert.ok(connections > 2);
    await anna.say('one');
    const bert = await someoneIn(t, secure(stack.urls[1]), { room, options: over(['websocket']) });
    await bert.say('two');
    await anna.hasSeen(2);
    anna.sawExactly(1, 2);
});

promise('long_messages_and_a_slow_reader_get_all_in_order', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, secure(stack.urls[0]), { room, options: over(['websocket']) });
    const bert = await someoneIn(t, secure(stack.urls[0]), { room, options: over(['websocket']) });
    const raw = bert.socket.io.engine.transport.ws._socket;
    raw.pause();
    const texts = range(1, 400).map((n) => `${n} ${'x'.repeat(16_000)}`);
    for (const text of texts) assert.equal((await anna.say(text)).status, 'ok');
    await eventually(async () => /^parley_slow_clients [1-9]/m.test(await stack.gateways[0].metrics()), 'him to be slow');
    raw.resume();
    await bert.hasSeen(400);
    bert.sawExactly(1, 400);
    assert.deepEqual(bert.contents, texts);
    await eventually(async () => /^parley_slow_clients 0/m.test(await stack.gateways[0].metrics()), 'nobody to be slow');
});

promise('a_handshake_and_frames_byte_by_byte_are_understood', { of: stack }, async (t) => {
    const room = freshRoom();
    const bert = await someoneIn(t, secure(stack.urls[0]), { room, options: over(['websocket']) });
    const socket = await connect(stack.gateways[0].port);
    t.after(() => socket.destroy());
    socket.setNoDelay(true);
    let heard = '';
    socket.on('data', (data) => (heard += data.toString('latin1')));
    const request = [
        'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1', `Host: 127.0.0.1:${stack.gateways[0].port}`, 'Connection: Upgrade', 'Upgrade: websocket',
        'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', '', '',
    ].join('\r\n');
    for (const byte of Buffer.from(request)) socket.write(Buffer.from([byte]));
    await eventually(() => heard.includes('101 Switching') && heard.includes('"sid"'), 'the open packet');
    for (const byte of frame({ payload: `40/${room},` })) socket.write(Buffer.from([byte]));
    await eventually(() => heard.includes(`40/${room},{"sid"`), 'the room');
    for (const byte of frame({ payload: `42/${room},["chat message","by bytes"]` })) socket.write(Buffer.from([byte]));
    await bert.hasSeen(1);
    assert.equal(bert.contents[0], 'by bytes');
    const closed = new Promise((resolve) => socket.on('end', resolve));
    socket.write(frame({ opcode: 8, payload: Buffer.from([0x03, 0xe8]) }));
    await closed;
});

promise('a_WebSocket_that_closes_says_goodbye_in_TLS_too', { of: stack }, async () => {
    const { port } = stack.gateways[0];
    const client = spawn('openssl', ['s_client', '-quiet', '-verify_return_error', '-CAfile', authority.certFile, '-connect', `127.0.0.1:${port}`]);
    let heard = '';
    let complaints = '';
    client.stdout.on('data', (data) => (heard += data.toString('latin1')));
    client.stderr.on('data', (data) => (complaints += data));
    client.stdin.on('error', () => {});
    const ended = new Promise((resolve) => client.on('close', resolve));
    client.stdin.write(
        ['GET /socket.io/?EIO=4&transport=websocket HTTP/1.1', `Host: 127.0.0.1:${port}`, 'Connection: Upgrade', 'Upgrade: websocket',
            'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', '', ''].join('\r\n'),
    );
    await eventually(() => heard.includes('"sid"'), 'the open packet');
    client.stdin.write(frame({ opcode: 8, payload: Buffer.from([0x03, 0xe8]) }));
    assert.equal(await ended, 0);
    assert.doesNotMatch(complaints, /unexpected eof/);
    assert.match(heard, /\x88\x02\x03\xe8/, 'the close frame');
});

promise('a_client_that_goes_without_a_word_is_noticed', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, secure(stack.urls[0]), { room, auth: { presence: true, username: 'anna' }, options: over(['websocket']) });
    const bert = await someoneIn(t, secure(stack.urls[1]), { room, auth: { presence: true, username: 'bert' }, options: over(['websocket']) });
    await bert.knowsPresent({ count: 2, names: ['anna', 'bert'] });
    anna.socket.io.reconnection(false);
    anna.socket.io.engine.transport.ws._socket.destroy();
    await bert.knowsPresent({ count: 1, names: ['bert'] }, 10_000);
});

promise('the_page_comes_over_https_and_says_so_for_a_year', { of: stack }, async () => {
    const { status, headers, body } = await get(`${secure(stack.gateways[0].url)}/`);
    assert.equal(status, 200);
    assert.match(body.toString(), /<title>/);
    assert.equal(headers['strict-transport-security'], `max-age=${365 * 24 * 3600}`);
    const poll = await get(`${secure(stack.gateways[0].url)}/socket.io/?EIO=4&transport=polling`);
    assert.match(poll.headers['strict-transport-security'], /max-age/);
    const { headers: unsafe } = await fetch(`${plain.gateways[0].url}/`);
    assert.equal(unsafe.get('strict-transport-security'), null, 'over plain HTTP it would be worth nothing');
});

promise('TLS_1_2_and_1_3_are_spoken_with_forward_secrecy_and_nothing_older', { of: stack }, async () => {
    const { port } = stack.gateways[0];
    for (const version of ['TLSv1.2', 'TLSv1.3']) {
        const socket = await connect(port, { minVersion: version, maxVersion: version });
        assert.equal(socket.getProtocol(), version);
        assert.match(socket.getCipher().name, /GCM|CHACHA20/);
        socket.destroy();
    }
    for (const version of ['TLSv1', 'TLSv1.1'])
        await assert.rejects(connect(port, { minVersion: version, maxVersion: version, ciphers: 'ALL:@SECLEVEL=0' }), { code: /.*/ });
    for (const ciphers of ['AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-SHA'])
        await assert.rejects(connect(port, { maxVersion: 'TLSv1.2', ciphers: `${ciphers}:@SECLEVEL=0` }), { code: /.*/ });
});

promise('HTTP_2_is_not_spoken', { of: stack }, async () => {
    const socket = await connect(stack.gateways[0].port, { ALPNProtocols: ['h2', 'http/1.1'] });
    assert.equal(socket.alpnProtocol, 'http/1.1');
    socket.destroy();
});

promise('who_speaks_plain_HTTP_to_it_or_nonsense_is_hung_up_on_and_harms_nobody', { of: stack }, async (t) => {
    const anna = await someoneIn(t, secure(stack.urls[0]), { room: freshRoom(), options: over(['websocket']) });
    await assert.rejects(
        new Promise((resolve, reject) => http.get(stack.gateways[0].url, { agent: false }, resolve).on('error', reject)),
        { code: /ECONNRESET|HPE_INVALID|EPIPE/ },
    );
    assert.equal((await anna.say('still here')).status, 'ok');
});

promise('a_handshake_that_never_ends_counts_as_a_connection_and_has_10_s', { of: stack }, async (t) => {
    const gateway = stack.gateways[0];
    const open = async () => Number((await gateway.metrics()).match(/^parley_sockets\{kind="http"\} (\d+)$/m)[1]);
    await eventually(async () => (await open()) === 0, 'nobody to be there');
    const began = Date.now();
    const closings = [[], [0x16], [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00]].map((bytes) => {
        const socket = net.connect({ port: gateway.port, host: '127.0.0.1' }, () => socket.write(Buffer.from(bytes)));
        t.after(() => socket.destroy());
        socket.resume();
        return new Promise((resolve) => socket.on('error', () => {}).on('close', resolve));
    });
    await eventually(async () => (await open()) === closings.length, 'them to count');
    await Promise.all(closings);
    assert.ok(Date.now() - began > 9_000, 'they had their time');
    await eventually(async () => (await open()) === 0, 'them to be forgotten');
});

promise('a_full_gateway_refuses_with_503_over_TLS_too', { of: full }, async (t) => {
    const url = secure(full.urls[0]);
    for (let n = 1; n <= 3; n++) await someoneIn(t, url, { room: freshRoom(), options: over(['websocket']) });
    const refused = await get(`${url}/socket.io/?EIO=4&transport=polling`);
    assert.equal(refused.status, 503);
    assert.ok(Number(refused.headers['retry-after']) > 0);
    const late = someone(t, url, { room: freshRoom(), options: over(['websocket']) });
    await late.until(() => late.refusals.length > 0, 'a refusal');
});

promise('a_forged_record_closes_its_own_connection_and_no_other', { of: stack }, async (t) => {
    const room = freshRoom();
    const { port } = stack.gateways[0];
    // What anna writes arrives a byte at a time, so that the gateway always reads the beginnings of records.
    const pieces = net.createServer((client) => {
        const server = net.connect({ port, host: '127.0.0.1', noDelay: true });
        let turn = Promise.resolve();
        client.on('data', (data) => {
            for (const byte of data) turn = turn.then(() => new Promise((resolve) => server.write(Buffer.from([byte]), () => setImmediate(resolve))));
        });
        server.pipe(client);
        for (const [one, other] of [[client, server], [server, client]]) one.on('error', () => {}).on('close', () => other.destroy());
    });
    await new Promise((resolve) => pieces.listen(0, '127.0.0.1', resolve));
    t.after(() => pieces.close());
    const anna = await someoneIn(t, `https://127.0.0.1:${pieces.address().port}`, { room, options: over(['websocket']) });
    for (const n of range(1, 20)) {
        const tcp = net.connect({ port, host: '127.0.0.1' });
        await connect(undefined, { socket: tcp });
        const closed = new Promise((resolve) => tcp.on('error', resolve).on('close', resolve));
        tcp.write(Buffer.from([0x17, 0x03, 0x03, 0x00, 0x20, ...new Uint8Array(32)]));
        const said = anna.say(`${n}`);
        await closed;
        assert.equal((await said).status, 'ok');
    }
    assert.deepEqual(anna.leaves, []);
});

promise('a_certificate_is_replaced_without_a_restart_and_a_broken_one_is_not_taken', { of: stack }, async (t) => {
    const { port, child } = stack.gateways[0];
    const subjectNow = async () => {
        const socket = await connect(port);
        const { subject } = socket.getPeerCertificate();
        socket.destroy();
        return subject.CN;
    };
    const stays = await someoneIn(t, secure(stack.gateways[0].url), { room: freshRoom(), options: over(['websocket']) });
    assert.equal(await subjectNow(), 'first');
    const second = authority.issue('second');
    const put = (from, to) => {
        copyFileSync(from, `${to}.new`);
        renameSync(`${to}.new`, to);
    };
    put(second.certFile, cert); // which does not fit the key yet
    await child.line(/event=certificate_refused .*TLS_KEY_FILE/);
    assert.equal(await subjectNow(), 'first');
    put(second.keyFile, key);
    await child.line(/event=certificate_read /);
    assert.equal(await subjectNow(), 'second');
    writeFileSync(cert, 'nothing of use');
    await child.line(/event=certificate_refused .*TLS_CERT_FILE/);
    assert.equal(await subjectNow(), 'second');
    put(second.certFile, cert);
    assert.equal((await stays.say('the same connection')).status, 'ok');
    assert.deepEqual(stays.leaves, []);
    const seconds = Number((await stack.gateways[0].metrics()).match(/^parley_certificate_expires_timestamp_seconds (\S+)/m)[1]);
    assert.ok(Math.abs(seconds - Date.now() / 1000 - 24 * 3600) < 600, 'the metric says when it ends');
});

promise('who_does_not_trust_the_certificate_does_not_come_in', { of: stack }, async (t) => {
    const person = someone(t, secure(stack.urls[0]), { options: { transports: ['websocket'], ca: new Authority(folder, 'other').certificate } });
    await person.until(() => person.refusals.length > 0, 'the refusal');
    assert.deepEqual(person.joins, []);
});

promise('a_drain_closes_connections_over_TLS_and_they_go_elsewhere', { of: stack }, async (t) => {
    const room = freshRoom();
    let home = 0;
    const door = await stack.door(0);
    door.leadTo(() => stack.gateways[home].port);
    const people = await Promise.all(range(1, 20).map(() => someoneIn(t, secure(door.url), { room, options: over(['websocket']) })));
    home = 1;
    await stack.gateways[0].stop();
    for (const person of people) {
        await person.joined(2);
        assert.equal(person.joins[1].recovered, true);
    }
    await people[0].say('all here');
    for (const person of people) await person.hasSeen(1);
    await stack.gateways[0].start();
});
