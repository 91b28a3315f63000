/**
 * What a gateway does about connections that only cost it something.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { Child } from './harness/child.mjs';
import { Gateway } from './harness/parley.mjs';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { RawWebSocket } from './harness/raw_websocket.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually, within } from './harness/wait.mjs';

const stack = ownStack({ gateways: 1, gatewayEnv: { PING_INTERVAL: '500ms', PING_TIMEOUT: '500ms' } });

/** How many sockets of WebSockets are still there on the gateway's side. */
async function socketsHeld() {
    return Number((await stack.gateways[0].metrics()).match(/^parley_sockets\{kind="websocket"\} (\d+)$/m)[1]);
}

promise('a_closed_client_that_reads_nothing_is_not_waited_for', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const text = 'x'.repeat(16000);
    // More than the kernel's buffers between the two hold: what follows, a close frame too, cannot be written.
    for (let sent = 0; sent < 1000; sent += 50)
        await Promise.all(Array.from({ length: 50 }, () => anna.say(text)));
    anna.goHome();
    await eventually(async () => (await socketsHeld()) === 0, 'anna to be gone');
    const frozen = await RawWebSocket.join(t, stack.gateways[0].url, room, { serverOffset: 0 });
    frozen.socket.pause(); // answers no ping either
    assert.equal(await socketsHeld(), 1);
    await eventually(async () => (await socketsHeld()) === 0, 'the frozen client to be let go');
});

promise('a_connection_that_says_nothing_or_half_a_request_is_closed', { of: stack }, async (t) => {
    const head = 'POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n';
    const kinds = { nothing: '', 'half a head': head, 'half a body': `${head}Content-Length: 1000\r\n\r\n` };
    await Promise.all(
        Object.entries(kinds).map(async ([what, text]) => {
            const socket = net.connect(stack.gateways[0].port, '127.0.0.1');
            t.after(() => socket.destroy());
            socket.on('error', () => {}).resume();
            socket.write(text);
            // More of it, but slowly, gives it no more time.
            const more = text && setInterval(() => socket.write('x'), 200);
            t.after(() => clearInterval(more));
            await within(once(socket, 'close'), `the end of a connection that says ${what}`);
        }),
    );
});

/** A gateway that may have so many files open. */
class NarrowGateway extends Gateway {
    constructor(files, env) {
        super('narrow', env);
        this.files = files;
    }

    async launch() {
        const options = { env: this.env, cwd: process.cwd() };
        this.child = new Child(this.name, 'prlimit', [`--nofile=${this.files}`, this.binary], options);
        this.lives.push(this.child);
        await this.onLaunched();
    }
}

promise('connections_beyond_the_open_files_are_closed_and_nobody_else_notices', { of: stack }, async (t) => {
    const files = 160;
    const beside = 100; // what the gateway keeps for itself
    const gateway = stack.adopt(new NarrowGateway(files, { NATS_URL: stack.nats.url, CONNECTIONS_MAX: '50' }));
    await gateway.start();
    const anna = await someoneIn(t, gateway.url, { room: freshRoom() });

    let closed = 0;
    const idlers = range(1, files).map(() => {
        const idler = net.connect(gateway.port, '127.0.0.1');
        t.after(() => idler.destroy());
        return idler.on('error', () => {}).on('close', () => closed++);
    });
    await eventually(async () => closed === files - (files - beside) + 1, 'those that are too many to be closed');
    assert.equal((await anna.say('unharmed')).id, '1');
    for (const idler of idlers) idler.destroy();
    await someoneIn(t, gateway.url, { room: freshRoom() });
});
