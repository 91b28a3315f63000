/**
 * A WebSocket client that may misbehave: it writes any bytes that a test wants, and tells what came back.
 */
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { Changes } from './wait.mjs';

export const OP = { continuation: 0x0, text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa };

const SOCKET_IO_PATH = '/socket.io/?EIO=4&transport=websocket';

/**
 * Bytes of one frame (RFC 6455, section 5.2).
 *
 * @param {object} parts
 * @param {number} [parts.opcode]
 * @param {Buffer | string} [parts.payload]
 * @param {boolean} [parts.fin]
 * @param {number} [parts.reserved] the three RSV bits, 0..7
 * @param {boolean} [parts.isMasked]
 * @param {bigint} [parts.claimedLength] told in 64 bits instead of the payload's own length
 */
export function frame(parts) {
    const { opcode = OP.text, payload = '', fin = true, reserved = 0, isMasked = true, claimedLength } = parts;
    const body = Buffer.from(payload);
    const head = [(fin ? 0x80 : 0) | (reserved << 4) | opcode];
    const mask = isMasked ? 0x80 : 0;
    const length = Buffer.alloc(8);
    if (claimedLength !== undefined || body.length > 0xffff) {
        length.writeBigUInt64BE(claimedLength ?? BigInt(body.length));
        head.push(mask | 127, ...length);
    } else if (body.length > 125) {
        head.push(mask | 126, body.length >> 8, body.length & 0xff);
    } else {
        head.push(mask | body.length);
    }
    if (!isMasked) return Buffer.concat([Buffer.from(head), body]);
    const key = randomBytes(4);
    const masked = Buffer.from(body.map((byte, i) => byte ^ key[i % 4]));
    return Buffer.concat([Buffer.from(head), key, masked]);
}

export class RawWebSocket extends Changes {
    /** Status line and headers of the answer to the upgrade. */
    answer = '';
    /** Body of an answer that refused it. */
    refusal = '';
    /** @type {{opcode: number, fin: boolean, payload: Buffer}[]} every frame, control frames too */
    frames = [];
    /** Whether the server has ended the TCP connection. */
    isEnded = false;
    /** Whether a close frame of the server's is answered, as RFC 6455 asks of a client. */
    answersClose = true;
    #input = Buffer.alloc(0);
    #read = 0;

    /**
     * Opens a WebSocket and reads the Engine.IO open packet.
     *
     * @param {import('node:test').TestContext} t
     * @param {string} url of a gateway
     * @param {import('node:net').TcpNetConnectOpts} [connection] as for ask()
     */
    static async open(t, url, connection) {
        const raw = await RawWebSocket.ask(t, url, SOCKET_IO_PATH, {}, connection);
        if (!raw.answer.startsWith('HTTP/1.1 101')) throw new Error(`no upgrade: ${raw.answer}`);
        const packet = await raw.text();
        raw.handshake = JSON.parse(packet.slice(1));
        return raw;
    }

    /** The same, and joins a room. */
    static async join(t, url, room = 'lobby', auth) {
        const raw = await RawWebSocket.open(t, url);
        const namespace = room === 'lobby' ? '' : `/${room},`;
        raw.send(`40${namespace}${auth === undefined ? '' : JSON.stringify(auth)}`);
        const reply = await raw.text();
        if (!reply.startsWith(`40${namespace}{`)) throw new Error(`not let in: ${reply}`);
        raw.namespace = namespace;
        raw.session = JSON.parse(reply.slice(2 + namespace.length));
        return raw;
    }

    /** Asks for an upgrade of the path, and waits for the head of the answer. `connection` may say a localAddress to come from. */
    static async ask(t, url, path, headers = {}, connection = {}) {
        const { hostname, port, host } = new URL(url);
        const raw = new RawWebSocket();
        raw.socket = net.connect({ port: Number(port || 80), host: hostname, ...connection });
        t.after(() => raw.socket.destroy());
        raw.socket.setNoDelay(true);
        raw.socket.on('error', () => {});
        raw.socket.on('data', (data) => raw.#take(data));
        raw.socket.on('close', () => {
            raw.isEnded = true;
            raw.changed();
        });
        const fields = {
            Host: host,
            Upgrade: 'websocket',
            Connection: 'Upgrade',
            'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
            'Sec-WebSocket-Version': '13',
            ...headers,
        };
        const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
        raw.socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
        await raw.until(() => raw.answer !== '' || raw.isEnded, 'an answer to the upgrade');
        return raw;
    }

    /** Sends a text frame. */
    send(text) {
        this.write(frame({ payload: text }));
    }

    write(bytes) {
        if (!this.socket.destroyed) this.socket.write(bytes);
    }

    /** The next frame that was not read yet. */
    async frame() {
        await this.until(() => this.#read < this.frames.length || this.isEnded, 'a frame');
        if (this.#read === this.frames.length) throw new Error('the server ended the connection, no frame');
        return this.frames[this.#read++];
    }

    /** The next text, after any control frames and Engine.IO pings, which are answered. */
    async text() {
        for (;;) {
            const { opcode, payload } = await this.frame();
            if (opcode === OP.text && payload.toString() === '2') this.send('3');
            else if (opcode === OP.text) return payload.toString();
            else if (opcode === OP.close) throw new Error(`closed: ${payload.readUInt16BE()}`);
        }
    }

    /** Texts until one for which the predicate is true; that one is returned. */
    async textLike(predicate) {
        for (;;) {
            const text = await this.text();
            if (predicate(text)) return text;
        }
    }

    /** Waits until the server closes; the status code of its close frame, or null when it sent none. */
    async closeCode() {
        await this.until(() => this.isEnded || this.frames.some(({ opcode }) => opcode === OP.close), 'a close');
        const close = this.frames.find(({ opcode }) => opcode === OP.close);
        return close && close.payload.length >= 2 ? close.payload.readUInt16BE() : null;
    }

    /** Waits until the TCP connection has ended. */
    async ended() {
        await this.until(() => this.isEnded, 'the end of the connection');
    }

    #take(data) {
        this.#input = Buffer.concat([this.#input, data]);
        if (this.answer === '') this.#takeAnswer();
        if (this.answer.startsWith('HTTP/1.1 101')) while (this.#takeFrame());
        else if (this.answer !== '') this.#takeRefusal();
        this.changed();
    }

    #takeAnswer() {
        const end = this.#input.indexOf('\r\n\r\n');
        if (end < 0) return;
        this.answer = this.#input.subarray(0, end + 4).toString('latin1');
        this.#input = this.#input.subarray(end + 4);
    }

    #takeRefusal() {
        this.refusal += this.#input.toString('latin1');
        this.#input = Buffer.alloc(0);
    }

    #takeFrame() {
        const bytes = this.#input;
        if (bytes.length < 2) return false;
        let length = bytes[1] & 0x7f;
        let offset = 2;
        if (length === 126) {
            if (bytes.length < 4) return false;
            length = bytes.readUInt16BE(2);
            offset = 4;
        } else if (length === 127) {
            if (bytes.length < 10) return false;
            length = Number(bytes.readBigUInt64BE(2));
            offset = 10;
        }
        if (bytes.length < offset + length) return false;
        const payload = bytes.subarray(offset, offset + length);
        const opcode = bytes[0] & 0x0f;
        this.frames.push({ opcode, fin: (bytes[0] & 0x80) !== 0, payload });
        if (opcode === OP.close && this.answersClose) this.write(frame({ opcode: OP.close, payload }));
        this.#input = bytes.subarray(offset + length);
        return true;
    }
}
