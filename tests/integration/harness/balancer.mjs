/**
 * Load balancers without sticky sessions: whatever belongs to one session goes to whichever gateway comes next.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import { Child } from './child.mjs';
import { Door } from './door.mjs';
import { eventually } from './wait.mjs';

/** Tells in every answer which gateway it came from, as `gateway-N`. */
export const SERVED_BY = 'x-served-by';

/**
 * Debian's haproxy as its manual sets it up for round-robin: each request to the next gateway that lives, also within one
 * connection of a client. Gateways may be killed; one that is started again must take the port that it had.
 */
export class HaProxy {
    /** @type {Child | null} */
    child = null;
    /** @type {Child[]} */
    lives = [];
    /** @type {Door} */
    #door;
    static #count = 0;

    /**
     * @param {import('./stack.mjs').Stack} stack ends it, and prints what it said when a test fails
     */
    static async start(stack) {
        const haproxy = await HaProxy.#run(stack, (socket) => configuration(stack.gateways, socket));
        await eventually(async () => {
            if (!haproxy.child.isRunning) throw new Error(haproxy.child.text('err'));
            const answer = await fetch(`${haproxy.url}/socket.io/?EIO=4&transport=none`);
            return answer.headers.has(SERVED_BY) && answer.status === 400;
        }, 'haproxy to lead to a gateway');
        return haproxy;
    }

    /**
     * One that passes connections on without looking into them, and says where they come from: what its own clients say of that,
     * by a header of the PROXY protocol.
     *
     * @param {import('./stack.mjs').Stack} stack as above
     * @param {'send-proxy' | 'send-proxy-v2'} how
     */
    static async passingOn(stack, how) {
        const server = `server gateway 127.0.0.1:${stack.gateways[0].port} ${how}`;
        const timeouts = 'timeout connect 2s\n    timeout client 60s\n    timeout server 60s';
        const text = (socket) => `listen parley\n    mode tcp\n    ${timeouts}\n    bind unix@${socket} accept-proxy\n    ${server}\n`;
        const haproxy = await HaProxy.#run(stack, text);
        await eventually(() => existsSync(stack.file(`${haproxy.child.name}.sock`)), 'haproxy to listen');
        return haproxy;
    }

    static async #run(stack, textFor) {
        const haproxy = new HaProxy();
        const name = `haproxy-${HaProxy.#count++}`;
        const [socket, file] = [stack.file(`${name}.sock`), stack.file(`${name}.cfg`)];
        await writeFile(file, textFor(socket));
        haproxy.child = new Child(name, 'haproxy', ['-db', '-f', file]);
        haproxy.lives.push(haproxy.child);
        // Any free port is the door's to find: haproxy does not tell which one it took.
        haproxy.#door = await Door.open(() => socket);
        stack.adopt(haproxy);
        return haproxy;
    }

    get port() {
        return this.#door.port;
    }

    get url() {
        return this.#door.url;
    }

    async stop() {
        await this.#door.close();
        await this.child.end('SIGKILL'); // a SIGTERM's status is the signal's
    }
}

function configuration(gateways, socket) {
    const servers = gateways.map(({ name, port }) => `    server ${name} 127.0.0.1:${port} check inter 100ms fall 1 rise 1\n`);
    return `# Longer than pingInterval and pingTimeout together, or than a poll may wait.
defaults
    mode http
    maxconn 2000
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    timeout http-keep-alive 60s
    # Each request gets a connection of its own to its gateway, and one that is down is passed over.
    option http-server-close
    option redispatch
    retries 3
    # A client that gives up a poll gives it up at the gateway.
    option abortonclose

listen parley
    bind unix@${socket}
    balance roundrobin
    http-response set-header ${SERVED_BY} %s
${servers.join('')}`;
}

/**
 * A balancer that a test tells, for each request, where it goes: HTTP requests and WebSockets alike.
 */
export class Balancer {
    /** What was led on, oldest first. @type {(Asked & {index: number})[]} */
    served = [];
    /** Which gateway a request goes to, and when. @type {(asked: Asked, count: number) => number | Promise<number>} */
    choose;
    #targets;
    #server;
    #count = 0;

    /**
     * It stays open as long as the runner does: clients that go home say so by way of it.
     *
     * @param {() => string[]} targets addresses of the gateways
     * @param {Balancer['choose']} [choose] gets how many came before, too; round-robin by default
     */
    static async open(targets, choose = (_, count) => count % targets().length) {
        const balancer = new Balancer();
        balancer.#targets = targets;
        balancer.choose = choose;
        balancer.#server = http.createServer((request, response) => balancer.#serve(request, response));
        balancer.#server.on('upgrade', (request, socket, head) => balancer.#upgrade(request, socket, head));
        await new Promise((resolve) => balancer.#server.listen(0, '127.0.0.1', resolve));
        balancer.#server.unref();
        return balancer;
    }

    get url() {
        return `http://127.0.0.1:${this.#server.address().port}`;
    }

    /** Gateways that requests of a kind went to. */
    wentTo(what) {
        return new Set(this.served.filter((asked) => asked.what === what).map(({ index }) => index));
    }

    async #serve(request, response) {
        const { connection, ...headers } = request.headers; // the client's connection, not ours
        const asked = await this.#ask(request, headers);
        asked.on('response', (answer) => {
            response.writeHead(answer.statusCode, answer.headers);
            answer.pipe(response);
            answer.on('error', () => response.destroy());
        });
        asked.on('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end()));
        response.on('close', () => asked.destroy());
        if (response.closed) asked.destroy();
        request.pipe(asked);
    }

    async #upgrade(request, socket, head) {
        socket.on('error', () => {});
        const asked = await this.#ask(request, request.headers);
        socket.on('close', () => asked.destroy());
        if (socket.destroyed) asked.destroy();
        asked.on('error', () => socket.destroy());
        asked.on('upgrade', (answer, other, first) => {
            socket.write(headOf(answer));
            socket.write(first);
            other.write(head);
            other.on('error', () => {});
            for (const [from, to] of [[socket, other], [other, socket]]) {
                from.pipe(to);
                from.on('close', () => to.destroy());
            }
        });
        asked.on('response', (answer) => {
            socket.write(headOf(answer));
            answer.pipe(socket);
        });
        asked.end();
    }

    async #ask(request, headers) {
        const query = new URL(request.url, this.url).searchParams;
        const transport = query.get('transport');
        const asked = { what: transport === 'websocket' ? transport : request.method, sid: query.get('sid') };
        const count = this.#count++;
        const index = await this.choose(asked, count);
        this.served.push({ ...asked, index });
        const { hostname, port } = new URL(this.#targets()[index]);
        return http.request({ hostname, port, path: request.url, method: request.method, headers, agent: false });
    }
}

/** Status line and headers, as they came. */
function headOf({ statusCode, statusMessage, rawHeaders }) {
    const lines = [];
    for (let i = 0; i < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`);
    return `HTTP/1.1 ${statusCode} ${statusMessage}\r\n${lines.join('')}\r\n`;
}

/**
 * @typedef {object} Asked
 * @property {'GET' | 'POST' | 'websocket' | string} what
 * @property {string | null} sid null at the handshake
 */
