/**
 * A person in a room, at a real Socket.IO client.
 *
 * Writes down everything that arrives, in the order in which it arrives, and can be waited on.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { io as newest } from 'socket.io-client';
import { io as client432 } from 'socket.io-client-4.3.2';
import { Changes } from './wait.mjs';

export { WAYS } from './client_matrix.mjs';

/** Clients of the promises: the oldest that a tutorial names, and the newest. */
export const CLIENTS = { 4.3: client432, newest };

/** How soon the tests' clients come back; the tutorials' keep the library's own pace. */
const RECONNECTION = { reconnectionDelay: 50, reconnectionDelayMax: 250, randomizationFactor: 0.5 };

export class Person extends Changes {
    /** @type {Message[]} as they came, repeats included */
    messages = [];
    /** @type {{code: string, message: string, clientId?: string}[]} */
    errors = [];
    /** @type {{from: string, to: string, reason: string}[]} */
    gaps = [];
    /** Who is here, as it was told. @type {{count: number, names?: string[]}[]} */
    presences = [];
    /** Who types, as it was told. @type {{users: string[], more: number}[]} */
    typings = [];
    /** One entry for each time that the room was joined. @type {{recovered: boolean, id: string}[]} */
    joins = [];
    /** @type {string[]} reasons */
    leaves = [];
    /** @type {Error[]} */
    refusals = [];
    /** All of the above and the acknowledgements, as ['message', …], ['ack', …] …, in order of arrival. */
    journal = [];

    /** @param {import('socket.io-client').Socket} socket not connected yet */
    constructor(socket) {
        super();
        this.socket = socket;
        socket.on('connect', () => this.#note('join', this.joins, { recovered: socket.recovered, id: socket.id }));
        socket.on('disconnect', (reason) => this.#note('leave', this.leaves, reason));
        socket.on('connect_error', (error) => this.#note('refusal', this.refusals, error));
        socket.on('chat message', (...args) => this.#note('message', this.messages, messageOf(args)));
        socket.on('chat error', (...args) => this.#note('error', this.errors, only(args)));
        socket.on('chat gap', (...args) => this.#note('gap', this.gaps, only(args)));
        socket.on('chat presence', (...args) => this.#note('presence', this.presences, only(args)));
        socket.on('chat typing', (...args) => this.#note('typing', this.typings, only(args)));
    }

    /** Waits for the nth time that the room is joined. */
    async joined(times = 1) {
        await this.until(() => this.joins.length >= times, () => `join ${times}; ${this.#story()}`);
        return this.joins[times - 1];
    }

    /** Waits until the connection is lost for the nth time. */
    async left(times = 1) {
        return this.until(() => this.leaves.length >= times, () => `disconnection ${times}; ${this.#story()}`);
    }

    /**
     * Sends a message.
     *
     * @param {unknown} content
     * @param {unknown} [clientId] one of its own by default, which is good across reconnects
     * @returns {Promise<{status: string, id?: string, duplicate?: boolean, code?: string}>} the acknowledgement
     */
    say(content, clientId = randomUUID()) {
        return new Promise((resolve) => {
            this.socket.emit('chat message', content, clientId, (ack) => {
                this.journal.push(['ack', ack]);
                this.changed();
                resolve(ack);
            });
        });
    }

    /** Waits until the message with this id, and all before it, have come. */
    async hasSeen(id) {
        const told = () => `message ${id}; ${this.#story()}`;
        return this.until(() => this.messages.some((message) => message.id === String(id)), told);
    }

    /** Waits until that many messages have come. */
    async hasCounted(count) {
        return this.until(() => this.messages.length >= count, () => `${count} messages; ${this.#story()}`);
    }

    /** Waits until the last that was told of who is here is this, as { count, names? }. */
    async knowsPresent(expected, timeoutMs) {
        const isIt = () => isDeepStrictEqual(this.presences.at(-1), expected);
        const told = () => `${JSON.stringify(expected)} present; ${JSON.stringify(this.presences.slice(-3))}`;
        return this.until(isIt, told, timeoutMs);
    }

    /** Waits until the last that was told of who types is this. */
    async knowsTyping(users, more = 0, timeoutMs) {
        const isIt = () => isDeepStrictEqual(this.typings.at(-1), { users, more });
        const told = () => `${users} and ${more} others typing; ${JSON.stringify(this.typings.slice(-3))}`;
        return this.until(isIt, told, timeoutMs);
    }

    type(typing) {
        this.socket.emit('chat typing', { typing });
    }

    /** Ids in the order of arrival, as numbers. */
    get ids() {
        return this.messages.map((message) => Number(message.id));
    }

    get contents() {
        return this.messages.map((message) => message.content);
    }

    /** Asserts that exactly the messages from..to came, once each, in order. */
    sawExactly(from, to) {
        assert.deepEqual(this.ids, range(from, to));
    }

    /** The low-level connection dies; the library notices at once and comes back by itself. */
    dropConnection() {
        this.socket.io.engine.close();
    }

    goHome() {
        this.socket.io.reconnection(false);
        this.socket.disconnect();
    }

    #note(kind, list, entry) {
        list.push(entry);
        this.journal.push([kind, entry]);
        this.changed();
    }

    #story() {
        const { joins, leaves, refusals, errors, gaps } = this;
        const ids = this.ids.length > 12 ? [...this.ids.slice(0, 6), '…', ...this.ids.slice(-6)] : this.ids;
        const faults = refusals.map((refusal) => refusal.message);
        return `so far ${JSON.stringify({ ids, joins, leaves, refusals: faults, errors, gaps })}`;
    }
}

/**
 * Someone opens the page of a gateway and joins a room.
 *
 * @param {import('node:test').TestContext} t closes the connection at its end
 * @param {string} url of a gateway
 * @param {object} [wishes]
 * @param {string} [wishes.room]
 * @param {keyof CLIENTS} [wishes.client]
 * @param {object} [wishes.auth] goes along with CONNECT: username, serverOffset, echo
 * @param {object} [wishes.options] of the Socket.IO client
 * @returns {Person} not connected yet: await its joined()
 */
export function someone(t, url, { room = 'lobby', client = 'newest', auth = {}, options = {} } = {}) {
    const namespace = room === 'lobby' ? '/' : `/${room}`;
    const socket = CLIENTS[client](url + namespace, {
        transports: ['websocket'],
        forceNew: true,
        ...RECONNECTION,
        auth,
        ...options,
    });
    const person = new Person(socket);
    t.after(() => person.goHome());
    return person;
}

/** The same, and waits until the room is joined. */
export async function someoneIn(t, url, wishes) {
    const person = someone(t, url, wishes);
    await person.joined();
    return person;
}

/** The numbers from..to, both included. */
export function range(from, to) {
    return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
}

/**
 * @typedef {object} Message
 * @property {string} content
 * @property {string} id decimal
 * @property {string} username
 * @property {{at: number, clientId: string}} info
 * @property {string} offset opaque
 */

/** @returns {Message} */
function messageOf([content, id, username, info, offset]) {
    return { content, id, username, info, offset };
}

/** The one argument of an event; an event that ends in a string would be taken for an offset by the client. */
function only(args) {
    assert.equal(args.length, 1, `one argument: ${JSON.stringify(args)}`);
    assert.equal(typeof args[0], 'object');
    return args[0];
}
