/**
 * A test is a promise to a user, and is named by it.
 */
import { after, test } from 'node:test';
import { runningChildren } from './child.mjs';
import { printLogs } from './logs.mjs';
import { PATIENCE, within } from './wait.mjs';

/** The longest that one test may take, ms. */
const TEST_MS = 60_000;

/** The longest that a file may take to end after its last test, ms: more than the end of a stack may take. */
const FILE_END_MS = 150_000 * PATIENCE;

// A process or a connection that nobody has ended keeps the file's own process, and with it the whole run.
after(() => {
    const tell = () => {
        const children = [...runningChildren].map(({ name, pid }) => `${name} (pid ${pid})`).join(', ') || 'none';
        const resources = process.getActiveResourcesInfo().join(', ');
        process.stderr.write(`The tests have ended, their process has not. Children: ${children}. Resources: ${resources}.\n`);
        process.exit(1);
    };
    setTimeout(tell, FILE_END_MS).unref();
});

/**
 * Declares a test. When it fails, what the processes logged since it began is printed.
 *
 * @param {string} name the promise, as in no_message_is_lost_when_a_gateway_dies
 * @param {object} needs
 * @param {import('./stack.mjs').Stack} [needs.of] skipped unless that stack is our own, to kill and to look into
 * @param {import('./stack.mjs').Stack} [needs.database] skipped when nobody told where that stack's database is
 * @param {string | false} [needs.skip] why it is skipped
 * @param {number} [needs.timeoutMs]
 * @param {(t: import('node:test').TestContext) => Promise<void>} keep
 */
export function promise(name, needs, keep) {
    const timeoutMs = (needs.timeoutMs ?? TEST_MS) * PATIENCE;
    // The runner's own limit comes second: ours prints the logs.
    test(name, { skip: reasonToSkip(needs), timeout: timeoutMs + 10_000 }, async (t) => {
        const began = Date.now();
        try {
            await within(Promise.resolve(keep(t)), `the end of ${name}`, timeoutMs);
        } catch (error) {
            printLogs(name, began);
            // What this test stopped, the next one needs.
            await needs.of?.heal();
            throw error;
        }
    });
}

function reasonToSkip({ of, database, skip }) {
    if (skip) return skip;
    if (of && !of.isOwn) return 'needs a stack of its own';
    if (database && !database.isOwn && !process.env.PARLEY_DATABASE_URL) return 'needs PARLEY_DATABASE_URL';
    return false;
}
