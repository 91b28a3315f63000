/**
 * Someone in a room, request by request, who lets each gateway be asked for the session of one of them.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Polling, SEPARATOR } from './polling.mjs';
import { freshRoom } from './stack.mjs';
import { PATIENCE, eventually } from './wait.mjs';

/** Numbers of the gateway that a session is opened at, and two others. */
export const [OWNER, OTHER, THIRD] = [0, 1, 2];
export const ALL = [OWNER, OTHER, THIRD];

/** The limits that a peer's death may take to be noticed, ms. */
export const DEATH_MS = 3000 * PATIENCE;
export const FREEZE_MS = 10_000 * PATIENCE;
/** A gateway that says nothing is taken for dead after five seconds, and a bit. */
export const SILENCE_MS = 8000 * PATIENCE;
/** "At once": without waiting for any time to run out, ms. */
export const AT_ONCE_MS = 700 * PATIENCE;

/** A polling session of one gateway whose requests go to any, and the rooms that it is in. */
export class Guest {
    /** What came that was no ping and no noop, and was not read yet. @type {string[]} */
    #packets = [];
    #acks = 0;

    /**
     * @param {import('node:test').TestContext} t
     * @param {import('./stack.mjs').Stack} of
     * @param {object} [wishes]
     * @param {string} [wishes.room]
     * @param {object} [wishes.auth]
     */
    static async arrive(t, of, { room = freshRoom(), auth } = {}) {
        const guest = new Guest();
        Object.assign(guest, { of, room });
        guest.polling = await Polling.open(t, { url: of.gateways[OWNER].url, path: '/socket.io/' });
        assert.match(await guest.join(room, auth), new RegExp(`^40/${room},\\{"sid":`));
        return guest;
    }

    /** Its session at a gateway. @returns {Polling} */
    at(index) {
        return this.polling.at(this.of.gateways[index].url);
    }

    async join(room, auth, index = OWNER) {
        assert.equal((await this.at(index).post(`40/${room},${auth ? JSON.stringify(auth) : ''}`)).text, 'ok');
        return this.packet(index);
    }

    /** The packet of a message with an acknowledgement, whose number goes up. */
    saying(content, { room = this.room, clientId = randomUUID() } = {}) {
        return `42/${room},${++this.#acks}${JSON.stringify(['chat message', content, clientId])}`;
    }

    /** Posts messages, in one payload. */
    async say(index, ...contents) {
        const answer = await this.at(index).post(contents.map((content) => this.saying(content)).join(SEPARATOR));
        assert.equal(answer.text, 'ok');
    }

    /** One GET; its packets are kept for packet(). */
    async poll(index) {
        const { status, text } = await this.at(index).get();
        assert.equal(status, 200, `GET at ${index}: ${text}`);
        for (const packet of text.split(SEPARATOR)) {
            if (packet === '2') await this.at(index).post('3');
            else if (packet !== '6') this.#packets.push(packet);
        }
        return text;
    }

    /** The next packet by polling. */
    async packet(index) {
        while (this.#packets.length === 0) await this.poll(index);
        return this.#packets.shift();
    }

    /** The next packets by polling, told in short; each GET at the next of the gateways. */
    async hears(count, indices = ALL) {
        const heard = [];
        for (let n = 0; heard.length < count; n++) heard.push(told(await this.packet(indices[n % indices.length])));
        return heard;
    }

    /** Packets that polling has brought already, told in short. */
    get heardAlready() {
        return this.#packets.splice(0).map(told);
    }

    /** A GET that waits at a gateway. */
    async waiting(index) {
        const waiting = this.at(index).get();
        // What is asked by the same way later is answered later.
        for (let i = 0; i < 3; i++) assert.equal(await this.at(index).isKnown(), true);
        return { answer: waiting };
    }

    /** Whether each of the gateways in turn answers for the session; all the same. */
    async isKnown(indices = ALL) {
        const known = [];
        for (const index of indices) known.push(await this.at(index).isKnown());
        assert.equal(new Set(known).size, 1, `${known}`);
        return known[0];
    }
}

/** What a packet of Socket.IO says, in short: `message CONTENT ID` or `ack NUMBER ID`. */
export function told(packet) {
    const [, type, ack, json] = packet.match(/^4(\d)(?:\/[^,]+,)?(\d*)(.*)$/s) ?? assert.fail(packet);
    const [first, content, id] = JSON.parse(json);
    return type === '3' ? `ack ${ack} ${first.id ?? first.code ?? first.status}` : `${first.replace('chat ', '')} ${content} ${id}`;
}

/** The next texts of a WebSocket, told in short. */
export async function hears(raw, count) {
    const heard = [];
    while (heard.length < count) heard.push(told(await raw.text()));
    return heard;
}

/** Every message and every acknowledgement once, the messages in order, each acknowledgement behind its own copy. */
export function sawItsOwn(heard, contents) {
    const messages = contents.map((content, i) => `message ${content} ${i + 1}`);
    assert.deepEqual(heard.filter((line) => line.startsWith('message ')), messages);
    const acks = contents.map((_, i) => `ack ${i + 1} ${i + 1}`);
    assert.deepEqual(heard.filter((line) => line.startsWith('ack ')).sort(), [...acks].sort());
    for (const [i, ack] of acks.entries()) assert.ok(heard.indexOf(messages[i]) < heard.indexOf(ack), `${ack}: ${heard}`);
}

function isRefused({ status, text }, code, message) {
    assert.equal(text, JSON.stringify({ code, message }));
    assert.equal(status, 400);
}

/** Asserts that a request was refused since the session is on a WebSocket. */
export const isMoved = (answer) => isRefused(answer, 3, 'Bad request');

/** Asserts that a request was refused since there is no such session. */
export const isUnknown = (answer) => isRefused(answer, 1, 'Session ID unknown');

/** Waits until the takeover is known to these gateways. */
export async function movedAway(guest, indices = ALL) {
    for (const index of indices)
        await eventually(async () => {
            const { status, text } = await guest.at(index).post('3');
            return status === 400 && JSON.parse(text).code === 3;
        }, `polling to be refused with code 3 at ${index}`);
}

/** Waits until no gateway counts anybody any more. */
export async function nobodyIsLeft(stack) {
    for (const gateway of stack.gateways)
        for (const name of ['parley_clients', 'parley_members']) {
            let value;
            await eventually(
                async () => {
                    value = Number((await gateway.metrics()).match(new RegExp(`^${name} (\\d+)$`, 'm'))[1]);
                    return value === 0;
                },
                () => `${name} of ${gateway.name} to be 0, it is ${value}`,
                60_000 * PATIENCE,
            );
        }
}
