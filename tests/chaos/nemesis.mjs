/**
 * The nemesis: one or two faults at a time, in an order that a seed decides, with pauses between them.
 *
 * Every kind comes once before any comes again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { within } from '../integration/harness/wait.mjs';
import { FAULTS, LASTS_MS } from './faults.mjs';

/** How often a long fault is a longer one. */
const LONGER = 0.25;

/** Between the end of a fault and the next, ms. */
const PAUSE_MS = [300, 2000];

export class Nemesis {
    /** What was, for the checker and the report. @type {object[]} */
    faults = [];
    /** What did not heal. @type {string[]} */
    failures = [];
    #deck = [];

    /**
     * @param {object} setup
     * @param {import('./cluster.mjs').Cluster} setup.cluster
     * @param {import('./probe.mjs').Probe} setup.probe
     * @param {import('./random.mjs').Random} setup.random
     * @param {string[]} setup.kinds of faults, by name
     * @param {number} setup.together how often a second fault joins the first
     * @param {number} setup.patienceMs all is served again this long after a fault, or it does not heal by itself
     * @param {(line: string) => void} setup.log
     */
    constructor({ cluster, probe, random, kinds, together, patienceMs, log }) {
        Object.assign(this, { cluster, probe, random, kinds, together, patienceMs, log });
    }

    /** Makes trouble for so long, and leaves nothing behind. */
    async rage(durationMs) {
        const until = Date.now() + durationMs;
        await this.#isServed();
        while (Date.now() < until) {
            const faults = [this.#draw()];
            if (this.random.chance(this.together)) this.#join(faults);
            await this.#strike(faults);
            await sleep(this.random.between(...PAUSE_MS));
        }
    }

    /** Waits until all is served, before anything is wrong. */
    async #isServed() {
        await within(this.probe.watch(Promise.resolve(), Promise.resolve()), 'the system to serve everyone', this.patienceMs);
    }

    /** The next fault of the deck. */
    #draw() {
        if (this.#deck.length === 0) this.#deck = this.random.shuffled(this.kinds);
        const kind = this.#deck.pop();
        const fault = FAULTS[kind](this.cluster, this.random);
        const lasts = fault.lasts === 'long' && this.random.chance(LONGER) ? 'longer' : fault.lasts;
        return { kind, ...fault, lastsMs: this.random.between(...LASTS_MS[lasts]) };
    }

    /** Adds a second fault, where it is about other parts. */
    #join(faults) {
        const second = this.#draw();
        if (second.subjects.some((subject) => faults[0].subjects.includes(subject))) this.#deck.push(second.kind);
        else faults.push(second);
    }

    async #strike(faults) {
        const isAlone = faults.length === 1;
        const [inPlace, healed] = [signal(), signal()];
        const watch = this.probe.watch(inPlace, healed);
        watch.catch(() => {}); // told where it is awaited
        const records = await Promise.all(faults.map((fault) => this.#oneFault(fault, isAlone, inPlace)));
        healed.give();
        const told = faults.map(nameOf).join(' and ');
        try {
            const { fromBegin, fromEnd } = await within(watch, `all to be served again after ${told}`, this.patienceMs);
            for (const record of records) if (isAlone) Object.assign(record, { fromBegin, fromEnd });
            this.log(`${told}: ${seconds(records[0].end - records[0].begin)}; served again after ${seconds(fromEnd)}`);
        } catch (error) {
            this.failures.push(error.message);
            this.log(`${told}: ${error.message}`);
        }
    }

    /** From its beginning to its end. */
    async #oneFault(fault, isAlone, inPlace) {
        const { kind, subjects, detail, cuts, storeAway = false, lastsMs, begin, end } = fault;
        const record = { kind, subjects, detail, cuts, storeAway: storeAway && isAlone, begin: Date.now(), end: Infinity };
        this.faults.push(record);
        try {
            await begin();
            inPlace.give();
            await Promise.all([sleep(lastsMs), record.storeAway ? this.probe.readMemory() : null]);
        } catch (error) {
            this.failures.push(`${nameOf(fault)}: ${error.message}`);
        }
        await end();
        record.end = Date.now();
        return record;
    }
}

/** A promise that is kept by its give(). */
function signal() {
    let give;
    const promise = new Promise((resolve) => (give = resolve));
    return Object.assign(promise, { give });
}

function nameOf({ kind, subjects, detail }) {
    return `${kind} (${[...subjects, detail].filter(Boolean).join(', ')})`;
}

function seconds(ms) {
    return `${(ms / 1000).toFixed(1)} s`;
}
