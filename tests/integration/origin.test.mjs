/**
 * Pages from elsewhere: a browser lets any page open a WebSocket to any host, so it is the gateway that keeps them out.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { oneBrowser } from './harness/browser.mjs';
import { Polling, request } from './harness/polling.mjs';
import { promise } from './harness/promise.mjs';
import { RawWebSocket } from './harness/raw_websocket.mjs';
import { ownStack } from './harness/stack.mjs';

const LISTED = 'https://chat.example:8443';

const closed = ownStack({ gateways: 1 });
const open = ownStack({ gateways: 1, gatewayEnv: { CORS_ORIGINS: `${LISTED}, http://other.example` } });
const browser = oneBrowser();

const QUERY = '/socket.io/?EIO=4&transport=';

/** How a handshake ends over both transports: HTTP statuses. */
async function statuses(t, stack, headers) {
    const polling = await request(stack.urls[0], `${QUERY}polling`, { headers });
    const raw = await RawWebSocket.ask(t, stack.urls[0], `${QUERY}websocket`, headers);
    return [polling.status, Number(raw.answer.split(' ')[1])];
}

const IN = [200, 101];
const OUT = [403, 400];

promise('by_default_a_page_of_the_same_host_and_port_comes_in_and_no_other', { of: closed }, async (t) => {
    const { host, port } = new URL(closed.urls[0]);
    const cases = [
        [{}, IN], // no browser
        [{ Origin: `http://${host}` }, IN],
        [{ Origin: `https://${host}` }, IN], // TLS ends in front of the gateway
        [{ Origin: `http://127.0.0.1:${Number(port) + 1}` }, OUT],
        [{ Origin: `http://localhost:${port}` }, OUT],
        [{ Origin: 'http://127.0.0.1' }, OUT],
        [{ Origin: LISTED }, OUT],
        [{ Origin: 'null' }, OUT],
        [{ Origin: '://' }, OUT],
        [{ Origin: `http://evil.example/${host}` }, OUT],
        [{ Origin: `http://${host}.evil.example` }, OUT],
        [{ Origin: `http://evil.example@${host}` }, OUT],
        // A port that the scheme has anyway.
        [{ Host: 'chat.example:443', Origin: 'https://chat.example' }, IN],
        [{ Host: 'CHAT.example', Origin: 'https://chat.example' }, IN],
        [{ Host: 'chat.example:80', Origin: 'https://chat.example' }, OUT],
        [{ Host: 'chat.example', Origin: 'http://chat.example:8080' }, OUT],
    ];
    for (const [headers, expected] of cases) assert.deepEqual(await statuses(t, closed, headers), expected, JSON.stringify(headers));
});

promise('pages_of_listed_origins_come_in_and_their_neighbours_do_not', { of: open }, async (t) => {
    for (const [origin, expected] of [
        [LISTED, IN],
        ['http://other.example', IN],
        ['http://chat.example:8443', OUT],
        ['https://chat.example', OUT],
        ['https://chat.example:84433', OUT],
        ['https://a.chat.example:8443', OUT],
        ['http://other.example.evil.example', OUT],
    ])
        assert.deepEqual(await statuses(t, open, { Origin: origin }), expected, origin);
});

promise('a_page_from_elsewhere_cannot_use_the_session_of_somebody_else', { of: closed }, async (t) => {
    const polling = await Polling.open(t, { url: closed.urls[0], path: '/socket.io/' });
    const foreign = { Origin: 'http://evil.example' };
    const target = `${QUERY}polling&sid=${polling.handshake.sid}`;
    assert.equal((await request(closed.urls[0], target, { headers: foreign })).status, 403);
    assert.equal((await request(closed.urls[0], target, { method: 'POST', body: '40', headers: foreign })).status, 403);
    // It is as it was for its owner.
    assert.equal((await request(closed.urls[0], target, { method: 'POST', body: '40' })).status, 200);
});

promise('in_a_browser_a_page_from_elsewhere_cannot_open_a_socket', { of: closed }, async (t) => {
    const elsewhere = http.createServer((_, answer) => answer.setHeader('content-type', 'text/html').end('<!doctype html><title>x</title>'));
    await new Promise((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
    t.after(() => elsewhere.close());
    const page = await (await browser.profile(t)).newPage();
    const opens = (transport) =>
        page.evaluate(
            ([url, kind]) =>
                kind === 'websocket'
                    ? new Promise((resolve) => {
                          const socket = new WebSocket(url.replace(/^http/, 'ws') + kind);
                          socket.onopen = () => resolve(true);
                          socket.onerror = () => resolve(false);
                      })
                    : fetch(url + kind).then((answer) => answer.ok, () => false),
            [closed.urls[0] + QUERY, transport],
        );
    await page.goto(closed.urls[0]);
    assert.deepEqual([await opens('websocket'), await opens('polling')], [true, true]);
    await page.goto(`http://127.0.0.1:${elsewhere.address().port}`);
    assert.deepEqual([await opens('websocket'), await opens('polling')], [false, false]);
});
