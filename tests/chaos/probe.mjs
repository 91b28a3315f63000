/**
 * The probe: whether all is served normally, and how soon again after a fault.
 *
 * One client at each gateway, which stays there. In a round each of them says something, and the round is over when all
 * of it is acknowledged, and seen at every gateway.
 */
import { io } from 'socket.io-client';
import { Changes } from '../integration/harness/wait.mjs';
import { Client } from './client.mjs';
import { historyFile } from './crowd.mjs';
import { History } from './history.mjs';
import { Random } from './random.mjs';

export const PROBE_ROOM = 'probe';

/** Between two rounds, ms. */
const BREATH_MS = 20;

/** The longest that a read from memory may take, ms. */
const READ_MS = 5000;

export class Probe extends Changes {
    /** @type {Map<string, Client>} by gateway */
    clients = new Map();
    #histories = new Map();
    #acknowledged = new Set();
    /** Contents that came, by gateway. */
    #seen = new Map();
    #said = 0;

    /**
     * @param {string} folder of the histories
     * @param {Record<string, string>} gateways address by name
     * @param {number} patienceMs the longest that anything is waited for
     */
    constructor(folder, gateways, patienceMs) {
        super();
        Object.assign(this, { gateways, patienceMs });
        for (const [gateway, url] of Object.entries(gateways)) {
            const name = `probe of ${gateway}`;
            const history = new History(historyFile(folder, name));
            const setup = { name, room: PROBE_ROOM, way: 'websocket', random: new Random(0), history };
            const client = new Client({ ...setup, gateways: { [gateway]: url } });
            const seen = new Set();
            client.onConnect = () => this.changed();
            client.onMessage = (_, content) => this.changed(seen.add(content));
            client.onAck = (clientId) => this.changed(this.#acknowledged.add(clientId));
            this.#seen.set(gateway, seen);
            this.#histories.set(gateway, history);
            this.clients.set(gateway, client);
            client.attend();
        }
    }

    get names() {
        return [...this.clients.values()].map(({ name }) => name);
    }

    /**
     * Goes round by round until one is over that began when nothing was wrong any more.
     *
     * @param {Promise<void>} inPlace when the fault is there
     * @param {Promise<void>} healed when it is gone
     * @returns {Promise<{fromBegin: number, fromEnd: number}>} ms from now until a round was over that began when the
     *     fault was there; and from the fault's end until one was over that began after it
     */
    async watch(inPlace, healed) {
        const began = performance.now();
        let isThere = false;
        let ended = null;
        let fromBegin = null;
        inPlace.then(() => (isThere = true));
        healed.then(() => (ended = performance.now()));
        for (;;) {
            const wasThere = isThere;
            const wasHealed = ended !== null;
            await this.#round();
            const now = performance.now();
            if (wasThere) fromBegin ??= now - began;
            if (wasHealed) return { fromBegin, fromEnd: now - ended };
            await new Promise((resolve) => setTimeout(resolve, BREATH_MS));
        }
    }

    /** A newcomer at each gateway reads what is in its memory, while nobody can be asked. */
    async readMemory() {
        await Promise.all(Object.keys(this.gateways).map((gateway) => this.#readMemoryOf(gateway)));
    }

    /** Waits until each has all up to the head of the room, and leaves. */
    async leave(head) {
        const clients = [...this.clients.values()];
        const isComplete = () => clients.every((client) => client.position >= head && client.pending.size === 0);
        await this.until(isComplete, 'the probe to have everything', this.patienceMs).catch(() => {});
        for (const client of clients) await client.leave(client.position >= head);
    }

    async #round() {
        const clients = [...this.clients.values()];
        await this.until(() => clients.every(({ isConnected }) => isConnected), 'the probe to be connected', this.patienceMs);
        for (const set of [this.#acknowledged, ...this.#seen.values()]) set.clear();
        const said = clients.map((client) => {
            const content = `${client.name} says ${++this.#said}`;
            return { clientId: client.say(content), content };
        });
        const isOver = () =>
            said.every(({ clientId }) => this.#acknowledged.has(clientId)) &&
            [...this.#seen.values()].every((seen) => said.every(({ content }) => seen.has(content)));
        await this.until(isOver, 'a round of the probe', this.patienceMs);
    }

    async #readMemoryOf(gateway) {
        const { last, isConnected } = this.clients.get(gateway);
        if (!isConnected || last === null || last < 3) return; // else the gateway may not have the room in memory
        const began = performance.now();
        const auth = { username: 'newcomer', serverOffset: last - 2 };
        const socket = io(`${this.gateways[gateway]}/${PROBE_ROOM}`, {
            forceNew: true,
            transports: ['websocket'],
            reconnection: false,
            auth,
        });
        const complete = await new Promise((resolve) => {
            const timer = setTimeout(() => resolve(false), READ_MS);
            socket.on('chat message', (_, id) => {
                if (Number(id) < last) return;
                clearTimeout(timer);
                resolve(true);
            });
        });
        socket.disconnect();
        this.#histories.get(gateway).write('read', { gateway, ms: Math.round(performance.now() - began), complete });
    }
}
