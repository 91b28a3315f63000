/**
 * How many connections one address may have, whoever stands between: the default and small ones, at the limit and one past it.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { range } from './harness/person.mjs';
import { Polling, request } from './harness/polling.mjs';
import { promise } from './harness/promise.mjs';
import { RawWebSocket } from './harness/raw_websocket.mjs';
import { ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

/** Undefined: not set, so that the gateway's own default counts. */
const stack = ownStack({ gateways: 1, gatewayEnv: { CONNECTIONS_PER_ADDRESS_MAX: undefined } });
const behind = ownStack({ gateways: 1, gatewayEnv: { CONNECTIONS_PER_ADDRESS_MAX: '2', TRUSTED_PROXIES: '127.0.0.0/8, 10.0.0.0/8' } });
const narrow = ownStack({ gateways: 2, gatewayEnv: { CONNECTIONS_PER_ADDRESS_MAX: '1' } });
const taken = ownStack({ gateways: 2, gatewayEnv: { CONNECTIONS_PER_ADDRESS_MAX: '1' } });

const DEFAULT = 1000;
const PATH = '/socket.io/';
const POLLING = `${PATH}?EIO=4&transport=polling`;
const WEBSOCKET = `${PATH}?EIO=4&transport=websocket`;

const handshake = (url, headers, agent) => request(url, POLLING, { headers, agent });

promise('a_thousand_connections_of_an_address_come_in_and_one_more_when_one_has_gone', { of: stack }, async (t) => {
    const [url] = stack.urls;
    const agent = new http.Agent({ keepAlive: true, maxSockets: 50 });
    t.after(() => agent.destroy());
    const answers = await Promise.all(range(1, DEFAULT).map(() => handshake(url, {}, agent)));
    assert.ok(answers.every(({ status }) => status === 200));
    const refused = await handshake(url);
    assert.equal(refused.status, 503);
    assert.match(refused.text, /too many connections from your address/);
    assert.ok(Number(refused.headers['retry-after']) > 0);
    const raw = await RawWebSocket.ask(t, url, WEBSOCKET);
    assert.match(raw.answer, /^HTTP\/1\.1 503 /);
    assert.match(await stack.gateways[0].metrics(), /parley_handshakes_refused_total\{reason="address"\} 2\n/);
    // Another address has its own; past the gateway's door, which is at 127.0.0.1 itself.
    const other = await request(stack.gateways[0].url, POLLING, { localAddress: '127.0.0.2' });
    assert.equal(other.status, 200, other.text);
    const { sid } = JSON.parse(answers[0].text.slice(1));
    await request(url, `${POLLING}&sid=${sid}`, { method: 'POST', body: '1' });
    await eventually(async () => (await handshake(url)).status === 200, 'room for one more');
    assert.equal((await handshake(url)).status, 503);
});

promise('a_trusted_balancer_says_whose_connection_it_is_and_a_client_cannot', { of: behind }, async () => {
    const [url] = behind.urls;
    const from = async (forwarded) => (await handshake(url, { 'X-Forwarded-For': forwarded })).status;
    assert.deepEqual([await from('192.0.2.1'), await from('192.0.2.1'), await from('192.0.2.1')], [200, 200, 503]);
    assert.equal(await from('192.0.2.2'), 200);
    // What a client puts in front, in the same line or in one of its own, is not looked at.
    assert.equal(await from('198.51.100.1, 192.0.2.1'), 503);
    assert.equal(await from(['198.51.100.1', '192.0.2.1']), 503);
    // Balancers behind balancers.
    assert.equal(await from('192.0.2.1, 10.1.2.3'), 503);
    assert.equal(await from(['192.0.2.1', '10.1.2.3']), 503);
    // A network of IPv6 counts as one.
    assert.deepEqual([await from('2001:db8::1'), await from('2001:db8::2'), await from('2001:db8::3')], [200, 200, 503]);
    assert.equal(await from('2001:db8:0:1::1'), 200);
});

promise('nobody_is_believed_by_default', { of: narrow }, async (t) => {
    const [url] = narrow.urls;
    const polling = await Polling.open(t, { url, path: PATH });
    for (const forwarded of ['192.0.2.1', '192.0.2.2']) {
        assert.equal((await handshake(url, { 'X-Forwarded-For': forwarded })).status, 503);
    }
    await polling.post('1');
    await eventually(async () => !(await polling.isKnown()), 'the end of the session');
});

promise('a_connection_that_moves_to_another_gateway_counts_there_and_no_longer_here', { of: narrow }, async (t) => {
    const [here, there] = narrow.urls;
    const polling = await Polling.join(t, { url: here, path: PATH });
    assert.equal((await handshake(here)).status, 503);
    const raw = await polling.at(there).upgraded();
    await eventually(async () => (await handshake(here)).status === 200, 'room here');
    assert.equal((await handshake(there)).status, 503);
    raw.socket.destroy();
    await eventually(async () => (await handshake(there)).status === 200, 'room there');
    assert.equal((await handshake(there)).status, 503);
});

promise('a_websocket_that_is_full_elsewhere_leaves_its_session_polling', { of: taken }, async (t) => {
    const [here, there] = taken.urls;
    const polling = await Polling.join(t, { url: here, path: PATH });
    const guest = await RawWebSocket.ask(t, there, WEBSOCKET);
    assert.match(guest.answer, /^HTTP\/1\.1 101 /);
    assert.match((await polling.at(there).websocket()).answer, /^HTTP\/1\.1 503 /);
    assert.ok(await polling.isKnown());
    guest.socket.destroy();
    await eventually(async () => (await polling.at(there).websocket()).answer.startsWith('HTTP/1.1 101'), 'room there');
});
