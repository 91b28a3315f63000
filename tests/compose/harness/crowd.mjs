/**
 * Many people in a few rooms, who come through the balancer as any page does, with the client's default options, and talk
 * until they are told to stop; what each of them saw is then compared with what Postgres has.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { io } from 'socket.io-client';
import { Person, range } from '../../integration/harness/person.mjs';
import { freshRoom } from '../../integration/harness/stack.mjs';
import { PATIENCE, within } from '../../integration/harness/wait.mjs';
import { rows, url } from './compose.mjs';

/** The time between an acknowledgement and the next message of a person is random, up to this, ms. */
const PAUSE_MS = 3000;

/** The longest that anything may take that is on its way while parts die, ms: three timeouts of a send and its retries. */
const HEAL_MS = 45_000 * PATIENCE;

/** As in the official tutorial; only a client id of its own is safe over reconnects. */
const DELIVERY = { ackTimeout: 10_000, retries: 5 };

export class Crowd {
    /** @type {Talker[]} */
    #talkers = [];
    #rooms = [];
    #isOver = false;

    /**
     * Has people join, and talk.
     *
     * @param {import('node:test').TestContext} t sends them home at its end
     */
    static async gather(t, { people = 200, rooms = 10 } = {}) {
        const crowd = new Crowd();
        crowd.#rooms = range(1, rooms).map(() => freshRoom('crowd'));
        crowd.#talkers = range(1, people).map((n) => new Talker(crowd.#rooms[n % rooms], `person ${n}`));
        t.after(() => {
            crowd.#isOver = true;
            for (const talker of crowd.#talkers) talker.person.goHome();
        });
        await crowd.#each((talker) => talker.person.joined(), 'everybody to join');
        for (const talker of crowd.#talkers) talker.talk(() => crowd.#isOver);
        return crowd;
    }

    /** Waits until everybody has had a message acknowledged that was sent from now on. */
    async isHeard() {
        const since = Date.now();
        await this.#each((talker) => talker.isHeardSince(since), 'everybody to be heard');
    }

    /** Waits until all that was begun is said, and asserts that everybody saw all of it, once, in order, and came back as whom they were. */
    async sawAllOfIt() {
        this.#isOver = true;
        await this.#each((talker) => talker.isSilent(), 'everybody to have said what they had to say');
        for (const talker of this.#talkers) assert.deepEqual(talker.failures, [], `${talker.name}'s failed sends`);
        for (const room of this.#rooms) await this.#compare(room);
        const strangers = this.#talkers.filter(({ person }) => person.joins.slice(1).some(({ recovered }) => !recovered));
        assert.deepEqual(strangers.map(({ name, person }) => [name, person.joins]), [], 'every client is recovered');
    }

    /** How often people have come back so far, all together. */
    get comebacks() {
        return this.#talkers.reduce((sum, { person }) => sum + person.joins.length - 1, 0);
    }

    get said() {
        return this.#talkers.reduce((sum, { acks }) => sum + acks.size, 0);
    }

    async #compare(room) {
        const talkers = this.#talkers.filter((talker) => talker.room === room);
        const stored = await rows(
            `SELECT m.id::int AS id, m.client_id, m.body FROM messages m JOIN rooms r ON r.id = m.room_id
             WHERE r.name = $1 ORDER BY m.id`,
            [room],
        );
        assert.deepEqual(stored.map(({ id }) => id), range(1, stored.length), 'ids without holes');
        const acknowledged = new Map(talkers.flatMap(({ acks }) => [...acks]));
        assert.equal(stored.length, acknowledged.size, 'what was acknowledged is stored, once, and nothing else');
        for (const row of stored) assert.equal(acknowledged.get(row.client_id), String(row.id), `row ${row.id} of ${room}`);
        for (const { person, name } of talkers) {
            await within(person.hasSeen(stored.length), `${name} to see message ${stored.length} of ${room}`, HEAL_MS);
            assert.deepEqual(person.ids, range(1, stored.length), `what ${name} saw of ${room}`);
            assert.deepEqual(person.contents, stored.map(({ body }) => body), `texts that ${name} saw of ${room}`);
        }
    }

    async #each(wait, what) {
        await within(Promise.all(this.#talkers.map(wait)), what, HEAL_MS);
    }
}

class Talker {
    /** @type {Map<string, string>} client ids, and the ids that the acknowledgements gave them */
    acks = new Map();
    /** @type {string[]} */
    failures = [];
    #heard = 0;
    #isTalking = false;

    constructor(room, name) {
        this.room = room;
        this.name = name;
        this.person = new Person(io(`${url}/${room}`, { forceNew: true, auth: { username: name, serverOffset: 0 }, ...DELIVERY }));
    }

    async talk(isOver) {
        this.#isTalking = true;
        await pause(Math.random() * PAUSE_MS);
        for (let n = 1; !isOver(); n++) {
            const begun = Date.now();
            await this.#say(`${this.name} says ${n}`);
            this.#heard = begun;
            this.person.changed();
            await pause(Math.random() * PAUSE_MS);
        }
        this.#isTalking = false;
        this.person.changed();
    }

    isHeardSince(time) {
        return this.person.until(() => this.#heard >= time, () => `${this.name} to be heard`, HEAL_MS);
    }

    isSilent() {
        return this.person.until(() => !this.#isTalking, () => `${this.name} to fall silent`, HEAL_MS);
    }

    #say(text) {
        const clientId = randomUUID();
        return new Promise((resolve) => {
            this.person.socket.emit('chat message', text, clientId, (error, ack) => {
                if (error || ack.status !== 'ok') this.failures.push(`${text}: ${error ?? JSON.stringify(ack)}`);
                else this.acks.set(clientId, ack.id);
                resolve();
            });
        });
    }
}
