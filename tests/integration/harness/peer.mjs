/**
 * A gateway that is none: it says to gateways, over NATS, what a gateway would ("Between gateways" in parley.proto), or
 * what none should.
 */
import { randomBytes } from 'node:crypto';
import { connect as connectToNats } from 'nats';
import { Changes } from './wait.mjs';

export const ASK = { check: 0, get: 1, post: 2, claim: 3, probe: 4, move: 5, release: 6, cancel: 7 };
export const ANSWER = {
    checked: 0, payload: 1, badRequest: 2, unknown: 3, claimed: 4, busy: 5, probed: 6, moved: 7, over: 8, forward: 9,
};

const REQUEST_FIELDS = ['gateway', 'number', 'type', 'session', 'body', 'more', 'octetStream', 'numbers', 'offset'];
const ANSWER_FIELDS = ['type', 'body', 'more', 'numbers', 'offset'];
const ID_BYTES = 8;
const SID_BYTES = 20;

function varint(value) {
    const bytes = [];
    for (let rest = BigInt(value); bytes.length === 0 || rest > 0n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
    bytes[bytes.length - 1] &= 0x7f;
    return Buffer.from(bytes);
}

/** Protobuf of a message whose fields are numbers and flags, texts and bytes, and lists of numbers. */
function encode(names, message) {
    const parts = [];
    for (const [name, value] of Object.entries(message)) {
        const number = names.indexOf(name) + 1;
        if (typeof value === 'number' || typeof value === 'boolean') {
            parts.push(varint(number << 3), varint(Number(value)));
        } else {
            const body = Array.isArray(value) ? Buffer.concat(value.map(varint)) : Buffer.from(value);
            parts.push(varint((number << 3) | 2), varint(body.length), body);
        }
    }
    return Buffer.concat(parts);
}

function decode(names, payload) {
    let at = 0;
    const read = () => {
        let value = 0n;
        for (let shift = 0n; ; shift += 7n) {
            const byte = payload[at++];
            value |= BigInt(byte & 0x7f) << shift;
            if (byte < 0x80) return Number(value);
        }
    };
    const message = { type: 0, number: 0, session: '', body: Buffer.alloc(0), more: 0, offset: 0, numbers: [] };
    while (at < payload.length) {
        const tag = read();
        const name = names[(tag >> 3) - 1];
        const length = (tag & 7) === 2 ? read() : 0;
        if (name === 'numbers') for (const end = at + length; at < end; ) message.numbers.push(read());
        else if (length === 0 && (tag & 7) === 0) message[name] = read();
        else message[name] = Buffer.from(payload.subarray(at, (at += length)));
    }
    return { ...message, session: message.session.toString() };
}

export class Peer extends Changes {
    id = randomBytes(ID_BYTES / 2).toString('hex');
    /** What gateways asked of it. */
    requests = [];
    /** What gateways answered, each with the number of the request. */
    answers = [];
    #lastNumber = 0;

    /**
     * @param {import('node:test').TestContext} t
     * @param {import('./stack.mjs').Stack} stack
     */
    static async join(t, stack) {
        const peer = new Peer();
        peer.nats = await connectToNats({ servers: stack.nats.url });
        t.after(() => peer.nats.close());
        const hear = (subject, take) => peer.nats.subscribe(subject, { callback: (error, message) => error ?? take(message) });
        hear(`parley.v1.gateway.${peer.id}`, (message) => {
            const request = decode(REQUEST_FIELDS, message.data);
            peer.requests.push({ ...request, reply: (answer) => message.respond(encode(ANSWER_FIELDS, answer)) });
            peer.changed();
        });
        hear(`_INBOX.${peer.id}.p.*`, (message) => {
            const number = Number(message.subject.split('.').at(-1));
            peer.answers.push({ ...decode(ANSWER_FIELDS, message.data), for: number });
            peer.changed();
        });
        await peer.nats.flush();
        return peer;
    }

    /** An id that a session of this peer might have. */
    sid() {
        return this.id + randomBytes((SID_BYTES - ID_BYTES) / 2).toString('hex');
    }

    /** Asks the gateway that opened a session; returns the request's number. */
    ask(sid, request) {
        const { number = ++this.#lastNumber, ...rest } = request;
        const payload = encode(REQUEST_FIELDS, { gateway: this.id, number, ...rest });
        this.nats.publish(`parley.v1.gateway.${sid.slice(0, ID_BYTES)}`, payload, { reply: `_INBOX.${this.id}.p.${number}` });
        return number;
    }

    /** The next answer to a request of that number. */
    async answer(number) {
        const isIts = (answer) => answer.for === number;
        await this.until(() => this.answers.some(isIts), `an answer to ${number}`);
        return this.answers.splice(this.answers.findIndex(isIts), 1)[0];
    }

    /** The next request of a type. */
    async request(type) {
        const isIts = (request) => request.type === type;
        await this.until(() => this.requests.some(isIts), `a request of type ${type}`);
        return this.requests.splice(this.requests.findIndex(isIts), 1)[0];
    }
}
