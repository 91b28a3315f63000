/**
 * An Engine.IO session over HTTP long-polling, request by request, that may misbehave.
 */
import http from 'node:http';
import { RawWebSocket } from './raw_websocket.mjs';
import { within } from './wait.mjs';

/** Between the packets of a payload. */
export const SEPARATOR = '\x1e';

/**
 * One request, its target exactly as written, its answer not unpacked.
 *
 * @param {string} url
 * @param {string} target path and query
 * @param {object} [parts]
 * @param {string} [parts.method]
 * @param {Record<string, string>} [parts.headers]
 * @param {string | Buffer} [parts.body]
 * @param {http.Agent | false} [parts.agent]
 * @param {string} [parts.localAddress] of the connection
 * @returns {Promise<Answer> & {abort: () => void}} rejects when the connection ends without an answer
 */
export function request(url, target, { method = 'GET', headers = {}, body, agent = false, localAddress } = {}) {
    const { hostname, port } = new URL(url);
    const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) };
    const asked = http.request({ hostname, port, localAddress, path: target, method, agent, headers: { ...length, ...headers } });
    const answer = new Promise((resolve, reject) => {
        asked.on('error', reject);
        asked.on('response', (response) => {
            const chunks = [];
            response.on('data', (chunk) => chunks.push(chunk));
            response.on('error', reject);
            response.on('end', () => {
                const bytes = Buffer.concat(chunks);
                const { statusCode: status, headers: answered } = response;
                resolve({ status, headers: answered, bytes, text: bytes.toString() });
            });
        });
        asked.end(body);
    });
    const waiting = within(answer, `an answer to ${method} ${target}`);
    waiting.catch(() => {}); // an abort is not an error of the test's
    waiting.abort = () => asked.destroy();
    return waiting;
}

export class Polling {
    /** The open packet. @type {{sid: string, upgrades: string[], pingInterval: number}} */
    handshake = null;
    /** @type {string[]} packets that came and were not taken yet */
    #packets = [];

    /**
     * Opens a session.
     *
     * @param {import('node:test').TestContext} t
     * @param {{url: string, path: string}} server
     */
    static async open(t, { url, path }) {
        const polling = new Polling();
        Object.assign(polling, { t, url, path, agent: new http.Agent({ keepAlive: true }) });
        t.after(() => polling.agent.destroy());
        polling.opening = await polling.get();
        polling.handshake = JSON.parse(polling.opening.text.slice(1));
        return polling;
    }

    /** The same, and joins a namespace of Socket.IO. */
    static async join(t, server, namespace = '', auth) {
        const polling = await Polling.open(t, server);
        await polling.post(`40${namespace}${auth === undefined ? '' : JSON.stringify(auth)}`);
        polling.reply = await polling.packet();
        return polling;
    }

    /** The same session by way of another server: what is asked here goes there. */
    at(url) {
        const { t, path, handshake, agent } = this;
        return Object.assign(new Polling(), { t, url, path, handshake, agent });
    }

    get target() {
        const sid = this.handshake ? `&sid=${this.handshake.sid}` : '';
        return `${this.path}?EIO=4&transport=polling${sid}`;
    }

    /** A GET as it is. */
    get(headers) {
        return request(this.url, this.target, { agent: this.agent, headers });
    }

    /** A POST as it is. */
    post(body, headers = { 'Content-Type': 'text/plain;charset=UTF-8' }) {
        return request(this.url, this.target, { method: 'POST', body, agent: this.agent, headers });
    }

    /** The next packet that is no ping; pings are answered. */
    async packet() {
        for (;;) {
            while (this.#packets.length === 0) {
                const answer = await this.get();
                if (answer.status !== 200) throw new Error(`GET was answered with ${answer.status} ${answer.text}`);
                this.#packets = answer.text.split(SEPARATOR);
            }
            const packet = this.#packets.shift();
            if (packet !== '2') return packet;
            await this.post('3');
        }
    }

    /** A WebSocket for this session. */
    async websocket() {
        return RawWebSocket.ask(this.t, this.url, `${this.path}?EIO=4&transport=websocket&sid=${this.handshake.sid}`);
    }

    /** The same, probed. */
    async probed() {
        const raw = await this.websocket();
        raw.send('2probe');
        const answer = await raw.text();
        if (answer !== '3probe') throw new Error(`the probe was answered with ${answer}`);
        return raw;
    }

    /** The same, and completes the upgrade. */
    async upgraded() {
        const raw = await this.probed();
        raw.send('5');
        return raw;
    }

    /** Whether the server still knows the session, found out without a GET that would wait. */
    async isKnown() {
        const { status, text } = await this.post('3', { 'Content-Type': 'text/plain' });
        if (status === 200) return true;
        if (status === 400 && JSON.parse(text).code === 1) return false;
        throw new Error(`unexpected: ${status} ${text}`);
    }
}

/**
 * @typedef {object} Answer
 * @property {number} status
 * @property {Record<string, string>} headers lower case
 * @property {Buffer} bytes
 * @property {string} text
 */
