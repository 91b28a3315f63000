/**
 * Waiting for conditions, never for time.
 *
 * Everything in the tests that changes (a process's log, what a client has received) owns a `Changes`: whoever changes
 * it says so, whoever waits names the condition. A wait that runs out fails with a sentence that tells what was awaited
 * and what was there instead.
 */

/** Stretches every limit, for slow machines and sanitizer builds. */
export const PATIENCE = Number(process.env.PARLEY_TEST_PATIENCE ?? 1);

/** The longest that a single condition is waited for, ms. */
export const WAIT_MS = 20_000 * PATIENCE;

/** How often a condition is looked at that nobody announces (a row in Postgres, an HTTP answer), ms. */
const POLL_MS = 25;

/** Something that can be waited on. */
export class Changes {
    #waiters = new Set();

    /** Says that something changed: every waiter looks at its condition again. */
    changed() {
        for (const look of [...this.#waiters]) look();
    }

    /**
     * Resolves with the first truthy value of the condition.
     *
     * @template T
     * @param {() => T} condition looked at now and after every change; what it throws fails the wait
     * @param {string | (() => string)} what the rest of the sentence "waited in vain for ..."
     * @param {number} [timeoutMs]
     * @returns {Promise<T>}
     */
    until(condition, what, timeoutMs = WAIT_MS) {
        return new Promise((resolve, reject) => {
            const settle = (act, value) => {
                this.#waiters.delete(look);
                clearTimeout(timer);
                act(value);
            };
            const look = () => {
                try {
                    const value = condition();
                    if (value) settle(resolve, value);
                } catch (error) {
                    settle(reject, error);
                }
            };
            const timer = setTimeout(() => settle(reject, inVain(what, timeoutMs)), timeoutMs);
            this.#waiters.add(look);
            look();
        });
    }
}

/**
 * Resolves with the first truthy value of a condition that nobody announces, and that may throw until then.
 *
 * @template T
 * @param {() => Promise<T> | T} condition
 * @param {string | (() => string)} what the rest of the sentence "waited in vain for ..."
 * @param {number} [timeoutMs]
 * @returns {Promise<T>}
 */
export async function eventually(condition, what, timeoutMs = WAIT_MS) {
    const deadline = Date.now() + timeoutMs;
    let last;
    for (;;) {
        try {
            const value = await condition();
            if (value) return value;
            last = undefined;
        } catch (error) {
            last = error;
        }
        if (Date.now() > deadline) throw inVain(what, timeoutMs, last);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
}

/**
 * Rejects when a promise takes too long.
 *
 * @template T
 * @param {Promise<T>} promise
 * @param {string | (() => string)} what the rest of the sentence "waited in vain for ..."
 * @param {number} [timeoutMs]
 * @returns {Promise<T>}
 */
export function within(promise, what, timeoutMs = WAIT_MS) {
    let timer;
    const limit = new Promise((_, reject) => {
        timer = setTimeout(() => reject(inVain(what, timeoutMs)), timeoutMs);
    });
    return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

function inVain(what, timeoutMs, cause) {
    const sentence = typeof what === 'function' ? what() : what;
    return new Error(`waited in vain for ${sentence} (${timeoutMs} ms)`, { cause });
}
