/**
 * The PROXY protocol: a balancer that does not look into what it passes on says where it comes from, and that counts.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import tls from 'node:tls';
import { HaProxy } from './harness/balancer.mjs';
import { Authority } from './harness/certificates.mjs';
import { metricSum } from './harness/memory.mjs';
import { promise } from './harness/promise.mjs';
import { ownStack } from './harness/stack.mjs';
import { within } from './harness/wait.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'parley-proxy-'));
after(() => rmSync(folder, { recursive: true }));
const { certFile, keyFile } = new Authority(folder).issue('gateway');

const settings = { CONNECTIONS_PER_ADDRESS_MAX: '2', TRUSTED_PROXIES: '127.0.0.1', PROXY_PROTOCOL: 'on' };
const passing = ownStack({ gateways: 1, gatewayEnv: settings });
const encrypted = ownStack({ gateways: 1, gatewayEnv: { ...settings, TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile } });

const POLLING = '/socket.io/?EIO=4&transport=polling';

/** A header of the PROXY protocol, version 1. */
const headerFor = (address) => `PROXY TCP4 ${address} 127.0.0.1 40000 80\r\n`;

/** One request over a connection that begins with a header in front of it; resolves to the status, 0 where there was no answer. */
function behind(header, { port, localAddress = '127.0.0.1', isTls = false }) {
    return new Promise((resolve) => {
        let heard = '';
        const socket = net.connect({ port, host: '127.0.0.1', localAddress }, () => {
            socket.write(header);
            const stream = isTls ? tls.connect({ socket, servername: 'localhost', rejectUnauthorized: false }) : socket;
            stream.write(`GET ${POLLING} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
            stream.on('data', (data) => (heard += data));
            stream.on('error', () => {});
        });
        socket.on('error', () => {});
        socket.on('close', () => resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(heard)?.[1] ?? 0)));
    });
}

promise('a_header_of_the_PROXY_protocol_counts_from_a_trusted_balancer_only', { of: passing }, async () => {
    const [{ port }] = passing.gateways;
    const from = (address) => behind(headerFor(address), { port });
    assert.deepEqual([await from('192.0.2.1'), await from('192.0.2.1'), await from('192.0.2.1')], [200, 200, 503]);
    assert.equal(await from('192.0.2.2'), 200);
    assert.equal(await behind('PROXY TCP6 2001:db8::1 ::1 40000 80\r\n', { port }), 200);
    // What the balancer asks for itself counts as its own.
    assert.equal(await behind('PROXY UNKNOWN\r\n', { port }), 200);
    // A balancer that says nothing, or nonsense, is set up wrongly: what its clients say might be taken for its own words.
    const refused = async () => metricSum(await passing.gateways[0].metrics(), 'parley_proxy_headers_refused_total');
    assert.equal(await refused(), 0);
    assert.equal(await behind('', { port }), 0);
    assert.equal(await behind('PROXY TCP4 somewhere\r\n', { port }), 0);
    assert.equal(await refused(), 2);
    // Whoever is not trusted cannot say it, and needs not.
    assert.ok([0, 400].includes(await behind(headerFor('192.0.2.9'), { port, localAddress: '127.0.0.9' })));
    assert.equal(await behind('', { port, localAddress: '127.0.0.9' }), 200);
});

for (const how of ['send-proxy', 'send-proxy-v2']) {
    promise(`haproxy_says_by_${how}_whose_connection_it_is`, { of: passing }, async () => {
        const { port } = await HaProxy.passingOn(passing, how);
        const net = how === 'send-proxy' ? '203.0.113' : '198.51.100';
        const from = (host) => behind(headerFor(`${net}.${host}`), { port });
        assert.deepEqual([await from(1), await from(1), await from(1)], [200, 200, 503]);
        assert.equal(await from(2), 200);
    });
}

promise('the_PROXY_protocol_stands_in_front_of_TLS', { of: encrypted }, async () => {
    const [{ port }] = encrypted.gateways;
    const from = (address) => behind(headerFor(address), { port, isTls: true });
    assert.deepEqual([await from('192.0.2.1'), await from('192.0.2.1'), await from('192.0.2.1')], [200, 200, 503]);
    assert.equal(await from('192.0.2.2'), 200);
});

promise('a_balancer_that_begins_a_header_and_does_not_end_it_is_let_go', { of: passing }, async (t) => {
    const socket = net.connect(passing.gateways[0].port, '127.0.0.1');
    t.after(() => socket.destroy());
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.on('error', () => {});
    socket.write('PROXY TCP4 ');
    await within(closed, 'the end of the connection');
});
