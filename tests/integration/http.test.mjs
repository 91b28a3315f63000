/**
 * What a gateway serves besides the socket: the page, the client's files, the admin port.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import path from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { parseMetrics } from './harness/prometheus.mjs';
import { anyStack, freshRoom } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const stack = anyStack({ gateways: 1 });

const CLIENT_MANIFEST = createRequire(import.meta.url).resolve('socket.io-client/package.json');
const { version } = JSON.parse(readFileSync(CLIENT_MANIFEST, 'utf8'));
const DIST = path.join(path.dirname(CLIENT_MANIFEST), 'dist');

/** Files at /socket.io/ and their types (SOCKETIO.md: "Client files"). */
const CLIENT_FILES = [
    'socket.io.js',
    'socket.io.js.map',
    'socket.io.min.js',
    'socket.io.min.js.map',
    'socket.io.esm.min.js',
    'socket.io.esm.min.js.map',
    'socket.io.msgpack.min.js',
    'socket.io.msgpack.min.js.map',
];

/** Cache-Control of what never changes. */
const FOR_GOOD = 'public, max-age=31536000, immutable';

promise('the_page_is_served_at_the_root', {}, async () => {
    const answer = await fetch(`${stack.urls[0]}/`);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get('content-type'), /^text\/html(;|$)/);
    const page = await answer.text();
    assert.match(page, /<!doctype html>/i);
    // Whatever the page names is there, with a type that browsers accept for it, and can be kept for good.
    const links = [...page.matchAll(/(?:href|src)="(\/[^"]*)"/g)].map((match) => match[1]);
    const types = {
        js: /^(text|application)\/javascript/,
        css: /^text\/css/,
        svg: /^image\/svg\+xml/,
        webmanifest: /^application\/manifest\+json/,
    };
    for (const link of links) {
        const part = await fetch(stack.urls[0] + link);
        assert.equal(part.status, 200, link);
        assert.match(part.headers.get('content-type'), types[link.split('.').at(-1)], link);
        assert.equal(part.headers.get('cache-control'), link.startsWith('/-/') ? FOR_GOOD : 'no-cache', link);
    }
    for (const file of ['main.js', 'style.css', 'socket.io/socket.io.esm.min.js'])
        assert.ok(links.some((link) => /^\/-\/[0-9a-f]{16}\//.test(link) && link.endsWith(file)), file);
});

promise('a_rooms_address_is_the_page_too', {}, async () => {
    const [root, room] = await Promise.all(['/', '/r/some.room'].map((path) => fetch(stack.urls[0] + path)));
    assert.equal(room.status, 200);
    assert.equal(room.headers.get('etag'), root.headers.get('etag'));
    assert.equal(await room.text(), await root.text());
});

promise('the_page_is_asked_for_each_time_and_sent_only_when_it_is_another_one', {}, async () => {
    const answer = await fetch(stack.urls[0]);
    assert.equal(answer.headers.get('cache-control'), 'no-cache');
    await answer.text();
    const again = await fetch(stack.urls[0], { headers: { 'If-None-Match': answer.headers.get('etag') } });
    assert.equal(again.status, 304);
});

promise('a_page_of_another_version_gets_files_that_nobody_keeps', {}, async () => {
    const answer = await fetch(`${stack.urls[0]}/-/0123456789abcdef/main.js`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    assert.match(await answer.text(), /^\/\*\*/);
    for (const nothing of ['/-/0123456789abcdef/nothing.js', '/-/0123456789abcdef', '/-/', '/-/0123456789abcdef/socket.io/'])
        assert.equal((await fetch(stack.urls[0] + nothing)).status, 404, nothing);
});

promise('nobody_can_put_the_page_into_a_frame_or_have_it_run_a_script_of_their_own', {}, async () => {
    const answer = await fetch(stack.urls[0]);
    const { headers } = answer;
    assert.match(headers.get('content-security-policy'), /frame-ancestors 'none'/);
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('referrer-policy'), 'same-origin');
    assert.match(headers.get('permissions-policy'), /camera=\(\)/);
    assert.equal(headers.get('set-cookie'), null);
    const page = await answer.text();
    const policy = page.match(/http-equiv="Content-Security-Policy"\s+content="([^"]*)"/)[1];
    assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/);
    assert.doesNotMatch(policy, /unsafe|\*|data:|http/);
    assert.doesNotMatch(page, /<script(?![^>]* src=)|<style|\son\w+=|\sstyle=/);
});

for (const file of CLIENT_FILES) {
    promise(`the_client_file_${file}_is_served_as_the_reference_does`, {}, async () => {
        const url = `${stack.urls[0]}/socket.io/${file}`;
        const answer = await fetch(url);
        assert.equal(answer.status, 200);
        assert.equal(answer.headers.get('etag'), `"${version}"`);
        assert.equal(answer.headers.get('cache-control'), 'public, max-age=0');
        const type = file.endsWith('.map') ? /^application\/json/ : /^(application|text)\/javascript/;
        assert.match(answer.headers.get('content-type'), type);
        assert.deepEqual(Buffer.from(await answer.arrayBuffer()), readFileSync(path.join(DIST, file)));

        for (const tag of [`"${version}"`, `W/"${version}"`, `"x", "${version}"`]) {
            const known = await fetch(url, { headers: { 'If-None-Match': tag } });
            assert.equal(known.status, 304, tag);
            assert.equal(known.headers.get('etag'), `"${version}"`);
            assert.equal(await known.text(), '');
        }
        const outdated = await fetch(url, { headers: { 'If-None-Match': '"4.0.0"' } });
        assert.equal(outdated.status, 200);
        await outdated.arrayBuffer();
    });
}

promise('the_client_files_are_compressed_for_whom_that_suits', {}, async () => {
    const original = readFileSync(path.join(DIST, 'socket.io.min.js'));
    // A gateway that has just started is still compressing.
    await eventually(async () => {
        const { head } = await rawGet(stack.urls[0], '/socket.io/socket.io.min.js', { 'Accept-Encoding': 'gzip' });
        return /^content-encoding: gzip/im.test(head);
    }, 'the client to be compressed');
    for (const [accepted, unpack] of [
        ['gzip', gunzipSync],
        ['identity', (body) => body],
        ['gzip;q=0, identity', (body) => body],
        ['gzip;q=0', (body) => body],
        ['gzip; q=0.00, identity', (body) => body],
        ['gzip;q=0.05, identity;q=0', gunzipSync],
    ]) {
        const { head, body } = await rawGet(stack.urls[0], '/socket.io/socket.io.min.js', { 'Accept-Encoding': accepted });
        const coding = head.match(/^content-encoding: (\S+)/im)?.[1] ?? 'identity';
        assert.deepEqual(unpack(body), original, accepted);
        assert.equal(coding, unpack === gunzipSync ? 'gzip' : 'identity');
        assert.match(head, /^vary:.*accept-encoding/im);
    }
    const { head, body } = await rawGet(stack.urls[0], '/socket.io/socket.io.min.js', { 'Accept-Encoding': 'gzip, br' });
    const unpack = { br: brotliDecompressSync, gzip: gunzipSync }[head.match(/^content-encoding: (\S+)/im)[1]];
    assert.deepEqual(unpack(body), original);
});

promise('what_is_not_there_is_404_and_nothing_else_is_served', {}, async () => {
    for (const target of [
        '/nothing',
        '/socket.io/nothing.js',
        '/socket.io/package.json',
        '/socket.io/../package.json',
        '/../package.json',
        '/%2e%2e/package.json',
        '/..%2fpackage.json',
        '/socket.io/..%2fpackage.json',
    ]) {
        const { head, body } = await rawGet(stack.urls[0], target);
        assert.match(head, /^HTTP\/1\.1 40[034] /, target);
        assert.doesNotMatch(body.toString(), /"dependencies"|"socket\.io-client"/, target);
    }
});

promise('HEAD_is_GET_without_a_body_and_other_methods_are_refused', {}, async () => {
    const head = await fetch(`${stack.urls[0]}/`, { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(await head.text(), '');
    const post = await fetch(`${stack.urls[0]}/`, { method: 'POST', body: 'x' });
    assert.ok([404, 405].includes(post.status), String(post.status));
});

promise('the_admin_port_tells_health_readiness_and_metrics', { of: stack }, async (t) => {
    const anna = await someoneIn(t, stack.urls[0], { room: freshRoom() });
    await anna.say('hello');
    for (const program of [stack.gateways[0], stack.stores[0]]) {
        for (const check of ['/healthz', '/readyz']) {
            const answer = await fetch(program.adminUrl + check);
            assert.equal(answer.status, 200, `${program.name}${check}`);
            await answer.text();
        }
        const answer = await fetch(`${program.adminUrl}/metrics`);
        assert.match(answer.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
        const samples = parseMetrics(await answer.text());
        assert.ok(samples.size >= 5, `${program.name} tells ${[...samples.keys()]}`);
        for (const name of samples.keys()) assert.match(name, /^(parley|process)_/);
        assert.equal((await fetch(`${program.adminUrl}/nothing`)).status, 404);
    }
});

promise('the_public_port_does_not_serve_the_admin_pages', { of: stack }, async () => {
    for (const page of ['/metrics', '/readyz']) assert.equal((await fetch(stack.urls[0] + page)).status, 404);
});

promise('broken_HTTP_harms_nobody', {}, async (t) => {
    const anna = await someoneIn(t, stack.urls[0], { room: freshRoom() });
    const { hostname, port } = new URL(stack.urls[0]);
    for (const bytes of ['\x16\x03\x01\x02\x00\x01\x00', 'GET\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', `GET / HTTP/1.1\r\nx: ${'y'.repeat(200_000)}\r\n\r\n`]) {
        await new Promise((resolve) => {
            const socket = net.connect(Number(port), hostname, () => socket.end(bytes, 'latin1'));
            socket.on('error', () => {});
            socket.on('close', resolve);
            socket.resume();
        });
    }
    assert.equal((await anna.say('unharmed')).id, '1');
});

/** GET of a target exactly as written: fetch() would tidy it up, and unpack the answer. */
function rawGet(url, target, headers = {}) {
    const { hostname, port, host } = new URL(url);
    const fields = Object.entries({ Host: host, Connection: 'close', ...headers });
    return new Promise((resolve, reject) => {
        const chunks = [];
        const socket = net.connect(Number(port), hostname, () => {
            socket.write(`GET ${target} HTTP/1.1\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
        });
        socket.on('error', reject);
        socket.on('data', (chunk) => chunks.push(chunk));
        socket.on('end', () => {
            const bytes = Buffer.concat(chunks);
            const end = bytes.indexOf('\r\n\r\n');
            const head = bytes.subarray(0, end + 2).toString('latin1');
            const body = bytes.subarray(end + 4);
            resolve({ head, body: /^transfer-encoding: chunked/im.test(head) ? unchunk(body) : body });
        });
    });
}

/** RFC 9112, section 7.1. */
function unchunk(bytes) {
    const parts = [];
    for (let at = 0; ; ) {
        const lineEnd = bytes.indexOf('\r\n', at);
        const length = parseInt(bytes.subarray(at, lineEnd).toString('latin1'), 16);
        if (!length) return Buffer.concat(parts);
        parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + length));
        at = lineEnd + 2 + length + 2;
    }
}
