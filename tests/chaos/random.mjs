/** Chance that a seed decides: the schedule of faults, and what each client would like to do next. */
export class Random {
    #state;

    /** @param {number} seed any whole number */
    constructor(seed) {
        this.#state = seed >>> 0;
    }

    /** The next number in [0, 1) (mulberry32). */
    next() {
        this.#state = (this.#state + 0x6d2b79f5) >>> 0;
        let t = this.#state;
        t = Math.imul(t ^ (t >>> 15), t | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    }

    /** A whole number from..to, both included. */
    between(from, to) {
        return from + Math.floor(this.next() * (to - from + 1));
    }

    chance(probability) {
        return this.next() < probability;
    }

    /** One of a list. */
    of(list) {
        return list[this.between(0, list.length - 1)];
    }

    /** A copy of the list in another order. */
    shuffled(list) {
        const result = [...list];
        for (let i = result.length - 1; i > 0; i--) {
            const j = this.between(0, i);
            [result[i], result[j]] = [result[j], result[i]];
        }
        return result;
    }
}
