/**
 * A client: the real Socket.IO client, used as people use it, who writes down all that happens to it.
 *
 * It talks, loses its connection in every way, comes back at any gateway, and sends again what was not acknowledged.
 */
import { randomUUID } from 'node:crypto';
import { io } from 'socket.io-client';
import { brief } from './history.mjs';

/**
 * How people use the client.
 *
 * transports   of the Socket.IO client; its default where absent
 * fresh        a new connection each time, with auth.serverOffset, as the tutorial's; else connection state recovery
 * retries      the library sends again, one message at a time; else the client does, many at a time
 * anonymous    no client ids: nothing is sent again
 * echo         false: one's own messages do not come back
 * balanced     through a load balancer that leads each request to another gateway
 * readsInBursts
 */
export const WAYS = {
    default: {},
    websocket: { transports: ['websocket'] },
    polling: { transports: ['polling'] },
    tutorial: { fresh: true, retries: true },
    retries: { transports: ['websocket'], retries: true },
    silent: { transports: ['websocket'], echo: false },
    bursts: { transports: ['websocket'], readsInBursts: true },
    fresh: { transports: ['websocket'], fresh: true },
    anonymous: { anonymous: true },
    balanced: { balanced: true },
    'balanced-polling': { balanced: true, transports: ['polling'] },
};

/** Mean time between what a client does, ms. */
const TALK_MS = 1000;
const DROP_MS = 8000;
const READ_MS = 8000;

/** A message that nobody answered while the connection lived is sent again after this, ms: far above SEND_DEADLINE. */
const SILENCE_MS = 25_000;

/** Most messages that wait for their acknowledgement. */
const PENDING_MAX = 5;

const RETRIES = { retries: 3, ackTimeout: 10_000 };

export class Client {
    /** Newest id that it has seen; null before the first. */
    last = null;
    /** What is not acknowledged yet, in the order of the first send. @type {Map<string, {content: string, timer: any}>} */
    pending = new Map();
    acknowledged = 0;
    #socket = null;
    #isTalking = false;
    #isOver = false;
    /** The next disconnection is wanted. */
    #isLeaving = false;
    #said = 0;
    #timers = new Set();
    #ownHead = 0;
    /** Where it is away: what brings it back. @type {(() => void) | null} */
    #comeBack = null;

    /**
     * @param {object} setup
     * @param {string} setup.name
     * @param {string} setup.room
     * @param {keyof WAYS} setup.way
     * @param {Record<string, string>} setup.gateways address by name; it comes to any of them
     * @param {import('./random.mjs').Random} setup.random
     * @param {import('./history.mjs').History} setup.history
     */
    constructor({ name, room, way, gateways, random, history }) {
        Object.assign(this, { name, room, gateways, random, history, way: WAYS[way] });
        const { echo = true, retries = false } = this.way;
        history.write('client', { name, room, way, echo, retries });
    }

    get isConnected() {
        return this.#socket?.connected ?? false;
    }

    /** Comes, and does what people do until it is told to settle. */
    live() {
        this.#connect();
        this.#isTalking = true;
        this.#every(TALK_MS, () => this.#talk());
        this.#every(DROP_MS, () => this.#drop());
        if (this.way.readsInBursts) this.#every(READ_MS, () => this.#stopReading());
    }

    /** Comes, and does nothing by itself. */
    attend() {
        this.#connect();
    }

    /** Says nothing new, and stays. */
    settle() {
        this.#isTalking = false;
        this.#return();
    }

    /** Newest id that it has, also of its own messages that do not come back. */
    get position() {
        return Math.max(this.last ?? 0, this.way.echo === false ? this.#ownHead : 0);
    }

    /** Leaves for good. @param {boolean} complete whether it had all that there was */
    async leave(complete) {
        this.#isOver = true;
        for (const timer of this.#timers) clearTimeout(timer);
        for (const { timer } of this.pending.values()) clearTimeout(timer);
        this.#isLeaving = true;
        this.#socket.disconnect();
        this.history.write('end', { complete });
        await this.history.close();
    }

    /** Says something. @returns {string} its client id */
    say(content) {
        const clientId = this.#clientId();
        this.pending.set(clientId, { content, timer: null });
        this.#emit(clientId);
        return clientId;
    }

    #clientId() {
        // The tutorial's; what is typed while offline is called undefined-….
        if (this.way.fresh) return `${this.#socket.id}-${this.#said}`;
        return randomUUID();
    }

    #connect() {
        const { transports, fresh, retries } = this.way;
        const socket = io(`${this.random.of(Object.values(this.gateways))}/${this.room}`, {
            forceNew: true,
            reconnection: !fresh,
            reconnectionDelay: 100,
            reconnectionDelayMax: 1000,
            timeout: 5000,
            auth: (cb) => cb(this.#auth()),
            ...(transports ? { transports } : {}),
            ...(retries ? RETRIES : {}),
        });
        this.#socket = socket;
        let resumes = false;
        // Whoever comes back may meet any gateway, as behind a load balancer.
        socket.io.on('reconnect_attempt', () => {
            socket.io.uri = this.random.of(Object.values(this.gateways));
        });
        socket.on('connect', () => {
            const { id: sid, recovered } = socket;
            this.history.write('connect', { gateway: this.#gateway(), sid, recovered, resumes, fresh: fresh ?? false });
            resumes = true;
            if (!retries) for (const clientId of this.pending.keys()) this.#emit(clientId);
            this.onConnect?.();
        });
        socket.on('disconnect', (reason) => this.#onDisconnect(socket, reason));
        socket.on('connect_error', (error) => this.#onConnectError(socket, error));
        socket.on('chat message', (...args) => this.#onMessage(args));
        socket.on('chat gap', ({ from, to, reason }) => {
            this.last = Math.max(this.last ?? 0, Number(to));
            this.history.write('gap', { from: Number(from), to: Number(to), reason });
        });
        socket.on('chat error', ({ code, clientId }) => this.#onError(code, clientId));
    }

    #auth() {
        const { fresh, echo } = this.way;
        return {
            username: this.name,
            ...(fresh && this.last !== null ? { serverOffset: this.last } : {}),
            ...(echo === false ? { echo } : {}),
        };
    }

    /** Which gateway the connection goes to. */
    #gateway() {
        const host = this.#socket.io.engine?.hostname;
        return Object.keys(this.gateways).find((name) => new URL(this.gateways[name]).hostname === host);
    }

    #onMessage([content, id, from, info, offset]) {
        this.last = Math.max(this.last ?? 0, Number(id));
        const [epoch, told] = offset.split('-');
        if (told !== id) throw new Error(`${this.name} was told of ${id} with the offset ${offset}`);
        const { clientId } = info;
        this.history.write('message', { id: Number(id), epoch: Number(epoch), from, content: brief(content), clientId });
        this.onMessage?.(Number(id), content);
    }

    #onDisconnect(socket, reason) {
        const own = this.#isLeaving;
        this.history.write('disconnect', { gateway: this.#gateway(), reason, own });
        this.#isLeaving = false;
        for (const entry of this.pending.values()) clearTimeout(entry.timer);
        if (this.way.anonymous) for (const clientId of [...this.pending.keys()]) this.#giveUp(clientId);
        if (this.way.fresh) this.#comeAgain(socket, own);
    }

    #onConnectError(socket, error) {
        // Where only the transport failed, the library tries again by itself, if it is let.
        const isRefused = !socket.active;
        if (isRefused) this.history.write('refusal', { gateway: this.#gateway(), message: error.message });
        else if (this.way.fresh) this.#comeAgain(socket, false);
    }

    /** The page is opened again: what the old one's library had not delivered is lost with it. */
    #comeAgain(socket, own) {
        socket.off();
        socket.disconnect();
        if (this.way.retries) for (const clientId of [...this.pending.keys()]) this.#giveUp(clientId);
        if (!this.#isOver) this.#stayAway(() => this.#connect(), own);
    }

    #talk() {
        if (!this.#isTalking || !this.isConnected) return;
        // Some say much at once, which shows whether the order is kept.
        const count = this.random.chance(0.1) ? 3 : 1;
        for (let i = 0; i < count && this.pending.size < (this.way.anonymous ? 1 : PENDING_MAX); i++) {
            const padding = this.random.chance(0.05) ? 'x'.repeat(this.random.between(1, 4000)) : '';
            this.say(`${this.name} says ${++this.#said} ${padding}`);
        }
    }

    #emit(clientId) {
        const entry = this.pending.get(clientId);
        const { retries, anonymous } = this.way;
        const socket = this.#socket;
        if (!retries && !socket.connected) return;
        this.history.write('send', { clientId, content: brief(entry.content) });
        if (retries) {
            socket.emit('chat message', entry.content, clientId, (error, ack) => {
                if (error) this.#giveUp(clientId);
                else this.#onAck(clientId, ack);
            });
            return;
        }
        const args = anonymous ? [entry.content] : [entry.content, clientId];
        socket.emit('chat message', ...args, (ack) => this.#onAck(clientId, ack));
        clearTimeout(entry.timer);
        entry.timer = setTimeout(() => (anonymous ? this.#giveUp(clientId) : this.#emit(clientId)), SILENCE_MS);
    }

    #onAck(clientId, { status, id, duplicate, code }) {
        this.history.write('ack', { clientId, status, id: Number(id), duplicate, code });
        const entry = this.pending.get(clientId);
        if (!entry) return;
        clearTimeout(entry.timer);
        this.pending.delete(clientId);
        this.acknowledged++;
        this.#ownHead = Math.max(this.#ownHead, Number(id));
        this.onAck?.(clientId, Number(id));
    }

    #onError(code, told) {
        // Who sends no client id has one message under way, and is told of one that the gateway made.
        const clientId = this.way.anonymous ? [...this.pending.keys()][0] : told;
        this.history.write('error', { clientId, code });
        const entry = this.pending.get(clientId);
        if (!entry || this.way.retries) return;
        clearTimeout(entry.timer);
        if (this.way.anonymous) this.#giveUp(clientId);
        else entry.timer = setTimeout(() => this.#emit(clientId), this.random.between(200, 1000));
    }

    #giveUp(clientId) {
        const entry = this.pending.get(clientId);
        if (!entry) return;
        clearTimeout(entry.timer);
        this.pending.delete(clientId);
        this.history.write('given_up', { clientId });
    }

    /** Loses the connection, in one of the ways in which that happens. */
    #drop() {
        if (!this.#isTalking || !this.isConnected) return;
        const { engine } = this.#socket.io;
        const ws = engine.transport.ws;
        this.#isLeaving = true;
        const how = this.random.between(0, 2);
        if (how === 0 && ws) ws.terminate();
        else if (how === 1 && !this.way.fresh) {
            const socket = this.#socket;
            socket.disconnect();
            this.#stayAway(() => socket.connect(), true);
        } else engine.close();
    }

    /** Some who left stay away so long that they miss more than memory holds, or than they will get; all come to the end. */
    #stayAway(comeBack, own) {
        const long = own && this.#isTalking && this.random.chance(0.1);
        this.#comeBack = comeBack;
        this.#after(long ? this.random.between(10_000, 40_000) : this.random.between(100, 2000), () => this.#return());
    }

    #return() {
        const comeBack = this.#comeBack;
        this.#comeBack = null;
        comeBack?.();
    }

    /** Reads nothing for a while, though it is there. */
    #stopReading() {
        const tcp = this.#socket.io.engine?.transport.ws?._socket;
        if (!this.isConnected || !tcp) return;
        tcp.pause();
        this.#after(this.random.between(500, 3000), () => tcp.resume());
    }

    /** Does something again and again, at random times. */
    #every(meanMs, act) {
        this.#after(meanMs * (0.5 + this.random.next()), () => {
            act();
            this.#every(meanMs, act);
        });
    }

    #after(ms, act) {
        const timer = setTimeout(() => {
            this.#timers.delete(timer);
            if (!this.#isOver) act();
        }, ms);
        this.#timers.add(timer);
    }
}
