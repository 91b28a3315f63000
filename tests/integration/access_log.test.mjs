/**
 * The gateway's access log on standard output: morgan's five formats (https://expressjs.com/en/resources/middleware/
 * morgan.html), and JSON.
 */
import assert from 'node:assert/strict';
import { promise } from './harness/promise.mjs';
import { Gateway } from './harness/parley.mjs';
import { RawWebSocket } from './harness/raw_websocket.mjs';
import { ownStack } from './harness/stack.mjs';

const stack = ownStack({ gateways: 1 });

const ADDRESS = '(?:::ffff:)?127\\.0\\.0\\.1';
const DATE = '\\[\\d\\d/(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/\\d{4}:\\d\\d:\\d\\d:\\d\\d \\+0000\\]';
const REQUEST = '"GET /nothing\\?a=1 HTTP/1\\.1"';
const TIME = '\\d+\\.\\d{3} ms';

/** Of a request for /nothing?a=1 with a referrer and a user agent. */
const FORMATS = {
    combined: `^${ADDRESS} - - ${DATE} ${REQUEST} 404 (?:\\d+|-) "http://example\\.org/" "a test/1\\.0"$`,
    common: `^${ADDRESS} - - ${DATE} ${REQUEST} 404 (?:\\d+|-)$`,
    dev: `^GET /nothing\\?a=1 404 ${TIME} - (?:\\d+|-)$`,
    short: `^${ADDRESS} - GET /nothing\\?a=1 HTTP/1\\.1 404 (?:\\d+|-) - ${TIME}$`,
    tiny: `^GET /nothing\\?a=1 404 (?:\\d+|-) - ${TIME}$`,
};

const HEADERS = { Referer: 'http://example.org/', 'User-Agent': 'a test/1.0' };

/** A gateway of the stack's with an access log. */
async function gatewayWith(format) {
    const gateway = stack.adopt(new Gateway(`gateway-${format}`, { ...stack.gateways[0].env, ACCESS_LOG: format }));
    await gateway.start();
    return gateway;
}

for (const [format, pattern] of Object.entries(FORMATS)) {
    promise(`the_access_log_speaks_morgans_${format}`, { of: stack }, async () => {
        const gateway = await gatewayWith(format);
        await (await fetch(`${gateway.url}/nothing?a=1`, { headers: HEADERS })).text();
        const { input } = await gateway.child.line(/\/nothing/);
        assert.match(input, new RegExp(pattern)); // dev has colours on a terminal only
        assert.equal(gateway.child.text('out'), `${input}\n`, 'one line a request');
        await gateway.stop();
    });
}

promise('the_access_log_speaks_JSON', { of: stack }, async () => {
    const gateway = await gatewayWith('json');
    const forged = 'a "quoted\\ agent';
    await (await fetch(`${gateway.url}/nothing?a=1`, { headers: { ...HEADERS, 'User-Agent': forged } })).text();
    const { input } = await gateway.child.line(/\/nothing/);
    const entry = JSON.parse(input);
    assert.equal(entry.method, 'GET');
    assert.equal(entry.url, '/nothing?a=1');
    assert.equal(Number(entry.status), 404);
    assert.ok(Object.values(entry).includes(forged), input);
    await gateway.stop();
});

promise('a_request_cannot_forge_a_line_of_the_access_log', { of: stack }, async () => {
    const gateway = await gatewayWith('combined');
    await (await fetch(`${gateway.url}/quoted`, { headers: { ...HEADERS, 'User-Agent': '" 200 1 "' } })).text();
    const { input } = await gateway.child.line(/\/quoted/);
    assert.equal(input.match(/(?<!\\)"/g).length, 6, `quotes are escaped: ${input}`);
    await gateway.stop();
});

promise('a_websocket_is_in_the_access_log_too', { of: stack }, async (t) => {
    const gateway = await gatewayWith('tiny');
    const raw = await RawWebSocket.join(t, gateway.url);
    raw.socket.destroy();
    const { input } = await gateway.child.line(/\/socket\.io\//);
    assert.match(input, /^GET \/socket\.io\/\?EIO=4&transport=websocket 101 /);
    await gateway.stop();
});

promise('without_being_asked_for_there_is_no_access_log', { of: stack }, async () => {
    await (await fetch(`${stack.gateways[0].url}/nothing`)).text();
    await stack.gateways[0].stop();
    assert.equal(stack.gateways[0].child.text('out'), '');
    await stack.gateways[0].start();
});
