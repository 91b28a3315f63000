/**
 * People in a room who talk without an end, at real clients that come back by themselves, while what they talk through is
 * taken apart; and the judgement of what they got.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { someone } from '../integration/harness/person.mjs';
import { freshRoom } from '../integration/harness/stack.mjs';
import { within } from '../integration/harness/wait.mjs';

/** Characters of a session's id that name the gateway that it began on. */
const GATEWAY_ID_LENGTH = 8;

/** Who would still meet no other gateway never will. */
const PEOPLE_MAX = 200;

/** After which a sender sends again with the same client id; longer than the gateway's own deadline. */
const ACK_MS = 10_000;

export class Traffic {
    room = freshRoom('k8s');
    #t;
    #url;
    #pauseMs;
    #isOver = false;
    #people = [];
    #talks = [];
    /** Contents by id. */
    #acknowledged = new Map();

    /**
     * @param {import('node:test').TestContext} t
     * @param {string} url of the Service of gateways
     * @param {number} [pauseMs] between an acknowledgement and the sender's next message
     */
    constructor(t, url, pauseMs = 200) {
        this.#t = t;
        this.#url = url;
        this.#pauseMs = pauseMs;
    }

    /** More people come, listen to everything from the beginning, and talk. */
    async add(count) {
        const options = { transports: ['polling', 'websocket'] };
        const newcomers = Array.from({ length: count }, () => {
            const auth = { username: randomUUID().slice(0, 8), serverOffset: 0 };
            return someone(this.#t, this.#url, { room: this.room, auth, options });
        });
        await Promise.all(newcomers.map((person) => person.joined()));
        this.#people.push(...newcomers);
        this.#talks.push(...newcomers.map((person) => this.#talk(person)));
    }

    /** On how many gateways somebody's session began; polls and upgrades go to any. */
    get gatewayCount() {
        return new Set(this.#people.map(({ socket }) => socket.io.engine.id?.slice(0, GATEWAY_ID_LENGTH))).size;
    }

    /** More people, until sessions have begun on that many gateways. */
    async reaches(gatewayCount) {
        while (this.gatewayCount < gatewayCount) {
            assert.ok(this.#people.length < PEOPLE_MAX, `${PEOPLE_MAX} people, on ${this.gatewayCount} gateways only`);
            await this.add(4);
        }
    }

    /** Waits until that many messages more are acknowledged than now. */
    async flows(count) {
        const [person] = this.#people;
        await person.hasCounted(person.messages.length + count);
    }

    /** Everybody falls silent. */
    async end() {
        this.#isOver = true;
        await within(Promise.all(this.#talks), 'the last acknowledgements', 3 * ACK_MS);
    }

    /**
     * Asserts, once it is over, that nothing was lost, doubled or reordered on the way to anybody, and that everybody who
     * lost a connection recovered.
     *
     * @param {import('./cluster.mjs').Cluster} cluster
     */
    async wasPerfect(cluster) {
        const { id: last } = await this.#people[0].say('the end');
        await Promise.all(this.#people.map((person) => person.hasSeen(last)));
        for (const person of this.#people) {
            person.sawExactly(1, Number(last));
            assert.deepEqual(person.contents, this.#people[0].contents);
            assert.deepEqual(person.gaps, []);
            for (const join of person.joins.slice(1)) assert.equal(join.recovered, true);
        }
        const contents = this.#people[0].contents.slice(0, -1);
        assert.equal(new Set(contents).size, contents.length, 'no message is there twice');

        const rows = await cluster.rows(
            'SELECT m.id, m.body FROM messages m JOIN rooms r ON r.id = m.room_id WHERE r.name = $1 ORDER BY m.id',
            [this.room],
        );
        assert.equal(rows.length, Number(last), 'Postgres has what was said, and no more');
        const stored = new Map(rows.map((row) => [String(row.id), row.body]));
        for (const [id, content] of this.#acknowledged) assert.equal(stored.get(id), content, `message ${id}`);
        this.#t.diagnostic(this.#summary());
    }

    async #talk(person) {
        while (!this.#isOver) {
            const content = randomUUID();
            const { id } = await acknowledged(person, content);
            assert.ok(!this.#acknowledged.has(id), `id ${id} is given once`);
            this.#acknowledged.set(id, content);
            await pause(this.#pauseMs);
        }
    }

    #summary() {
        const sum = (list) => this.#people.reduce((all, person) => all + person[list].length, 0);
        const { length } = this.#people;
        return (
            `${length} people, ${this.#acknowledged.size} messages acknowledged, ${sum('messages')} delivered; ` +
            `${sum('leaves')} connections lost, ${sum('refusals')} attempts refused, ${sum('joins') - length} resumed; ` +
            `${sum('errors')} chat errors`
        );
    }
}

/** Sends until it is acknowledged, as a client with retries does. */
async function acknowledged({ socket }, content) {
    const clientId = randomUUID();
    for (;;) {
        try {
            const ack = await socket.timeout(ACK_MS).emitWithAck('chat message', content, clientId);
            assert.equal(ack.status, 'ok', JSON.stringify(ack));
            return ack;
        } catch (error) {
            if (error instanceof assert.AssertionError) throw error;
        }
    }
}
