/**
 * Clients that stop halfway and say nothing leave nothing behind: no session, no timer, no open file, no live byte.
 */
import assert from 'node:assert/strict';
import net from 'node:net';
import { openFiles, ownEcho, residentBytes } from './harness/echo.mjs';
import { promise } from './harness/promise.mjs';
import { frame } from './harness/raw_websocket.mjs';
import { ownStack } from './harness/stack.mjs';
import { Changes, PATIENCE, eventually } from './harness/wait.mjs';

/** How many clients of each kind; at a time. */
const CLIENTS = Number(process.env.PARLEY_TEST_LEFTOVERS ?? 1000);
const AT_A_TIME = 40;

/** What a crowd may leave, bytes: less than the smallest allocation for each of its clients. */
const SLACK_BYTES = 16 * CLIENTS;

/**
 * Crowds that may leave more: tables keep their largest size, libh2o keeps the buffers of as many connections as were
 * ever open at a time. Both are as large as the largest crowd; what leaks grows with each.
 */
const ROUNDS = 5;

const HEARTBEAT = { 'ping-interval': 300, 'ping-timeout': 200 };
const eio = ownEcho('eio-echo', HEARTBEAT);
// Who has joined nothing is let go by the heartbeat: behind connectTimeout a polling session would be kept for a GET to
// fetch its end (EIO_CLOSE_WAIT_MS).
const sio = ownEcho('sio-echo', { ...HEARTBEAT, 'connect-timeout': 60_000 });
const stack = ownStack({
    gateways: 1,
    gatewayEnv: { PING_INTERVAL: '300ms', PING_TIMEOUT: '200ms' },
});

/** A connection on which a client says as much as it likes. */
class Wire extends Changes {
    text = '';

    constructor(server) {
        super();
        this.server = server;
        this.socket = net.connect(Number(new URL(server.url).port), '127.0.0.1');
        this.socket.on('error', () => {});
        this.socket.on('data', (data) => {
            this.text += data.toString('latin1');
            this.changed();
        });
    }

    send(target, method = 'GET', headers = {}, body = '') {
        const fields = { Host: 'x', ...headers, ...(body && { 'Content-Length': body.length }) };
        const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
        const query = `EIO=4&transport=${target.transport ?? 'polling'}${target.sid ? `&sid=${target.sid}` : ''}`;
        this.socket.write(`${method} ${this.server.path}?${query} HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
    }

    async sees(pattern) {
        return this.until(() => this.text.match(pattern), () => `${pattern}; there is ${this.text}`);
    }

    /** Opens a polling session. */
    async open() {
        this.send({});
        const [, sid] = await this.sees(/"sid":"([^"]+)"/);
        this.text = '';
        return sid;
    }

    /** Opens a WebSocket, of a session where there is one. */
    async upgrade(sid) {
        this.send({ transport: 'websocket', sid }, 'GET', {
            Upgrade: 'websocket',
            Connection: 'Upgrade',
            'Sec-WebSocket-Version': '13',
            'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
        });
        await this.sees(/^HTTP\/1\.1 101 /);
    }
}

/** Each begins something, and vanishes. @type {Record<string, (server: {url: string, path: string}) => Promise<Wire[]>>} */
const KINDS = {
    async aborted_polls(server) {
        const wire = new Wire(server);
        const sid = await wire.open();
        wire.send({ sid });
        return [wire];
    },
    async sessions_that_never_ask_again(server) {
        const wire = new Wire(server);
        await wire.open();
        return [wire];
    },
    async POSTs_cut_off_in_their_body(server) {
        const wire = new Wire(server);
        const sid = await wire.open();
        wire.send({ sid }, 'POST', { 'Content-Length': 1000 });
        wire.socket.write('4half');
        return [wire];
    },
    async upgrades_without_a_probe(server) {
        const [wire, raw] = [new Wire(server), new Wire(server)];
        await raw.upgrade(await wire.open());
        return [wire, raw];
    },
    async upgrades_that_stop_behind_the_probe(server) {
        const [wire, raw] = [new Wire(server), new Wire(server)];
        await raw.upgrade(await wire.open());
        raw.socket.write(frame({ payload: '2probe' }));
        await raw.sees(/3probe/);
        return [wire, raw];
    },
    async upgrades_with_a_waiting_GET_and_a_second_WebSocket(server) {
        const [wire, raw, second] = [new Wire(server), new Wire(server), new Wire(server)];
        const sid = await wire.open();
        wire.send({ sid });
        await raw.upgrade(sid);
        await second.upgrade(sid);
        raw.socket.write(frame({ payload: '2probe' }));
        await wire.sees(/\r\n\r\n[26]/); // the noop, or a ping where this took long
        return [wire, raw, second];
    },
    async clients_that_vanish_behind_the_upgrade(server) {
        const [wire, raw] = [new Wire(server), new Wire(server)];
        await raw.upgrade(await wire.open());
        raw.socket.write(Buffer.concat([frame({ payload: '2probe' }), frame({ payload: '5' }), frame({ payload: '40' })]));
        await raw.sees(/3probe.+|\x88/s); // a close frame, where this took longer than the heartbeat allows
        return [wire, raw];
    },
    async WebSockets_that_vanish(server) {
        const raw = new Wire(server);
        await raw.upgrade();
        raw.socket.write(frame({ payload: '40' }));
        raw.socket.write(frame({ payload: '451-["message",{"_placeholder":true,"num":0}]' }));
        return [raw];
    },
};

async function crowd(kind, server, count) {
    let begun = 0;
    const one = async () => {
        while (begun < count) {
            begun++;
            const wires = await KINDS[kind](server);
            for (const { socket } of wires) socket.destroy();
        }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, one));
}

/** What an echo server says that it holds. */
async function state(echo) {
    const [child] = echo.children;
    const known = child.lines.length;
    child.signal('SIGUSR1');
    return child.until(() => {
        const line = child.lines.slice(known).find(({ text }) => text.startsWith('state '));
        return line && Object.fromEntries([...line.text.matchAll(/(\w+)=(\d+)/g)].map(([, name, value]) => [name, Number(value)]));
    }, 'the state');
}

/** Waits until the server holds nothing but itself. */
async function isEmpty(echo, files) {
    return eventually(async () => {
        const { sessions, websockets, timers, live_bytes } = await state(echo);
        const held = { sessions, websockets, timers, files: (await openFiles(echo.pid)) - files };
        if (Object.values(held).some((count) => count > 0)) throw new Error(JSON.stringify(held));
        return { live_bytes };
    }, 'all to be gone');
}

for (const echo of [eio, sio])
    for (const kind of Object.keys(KINDS))
        promise(`${kind}_leave_nothing_behind_in_${echo.program}`, { of: echo, timeoutMs: 120_000 }, async () => {
            const files = await openFiles(echo.pid);
            const live = [];
            do {
                await crowd(kind, echo, CLIENTS);
                live.push((await isEmpty(echo, files)).live_bytes);
            } while (live.length <= ROUNDS && !(live.at(-1) - live.at(-2) < SLACK_BYTES));
            assert.ok(live.length <= ROUNDS, `after each ${CLIENTS} clients more bytes are live: ${live.join(', ')}`);
        });

promise('clients_that_vanish_leave_nothing_behind_in_a_gateway', { of: stack, timeoutMs: 300_000 }, async () => {
    const [gateway] = stack.gateways;
    const server = { url: gateway.url, path: '/socket.io/' };
    const clients = async () => Number((await gateway.metrics()).match(/^parley_clients (\d+)$/m)[1]);
    const settled = (files) =>
        eventually(async () => {
            const held = { clients: await clients(), files: (await openFiles(gateway.child.pid)) - files };
            // One connection is that of our own question for metrics.
            if (held.clients > 0 || held.files > 1) throw new Error(JSON.stringify(held));
            return true;
        }, 'all to be gone');
    const files = await openFiles(gateway.child.pid);
    const round = async (count) => {
        for (const kind of Object.keys(KINDS)) await crowd(kind, server, count);
        await settled(files);
        return residentBytes(gateway.child.pid);
    };
    await round(CLIENTS / 2);
    const before = await round(CLIENTS / 2);
    const after = await round(CLIENTS / 2);
    const clientCount = Object.keys(KINDS).length * (CLIENTS / 2);
    // A leak of the smallest struct of any client would be some hundred bytes each. A sanitizer, which needs patience,
    // keeps freed memory, and looks for leaks itself.
    if (PATIENCE === 1)
        assert.ok(
            after - before < Math.max(1024 * 1024, 100 * clientCount),
            `${after - before} bytes after ${clientCount} clients`,
        );
});
