/**
 * A process of the stack: started, watched, ended.
 *
 * No process outlives the runner, however the runner ends: each is started through `setpriv --pdeathsig KILL`, so that
 * the kernel ends it with us.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Changes, within } from './wait.mjs';

/** Lines of a process's output that are kept; older ones are dropped. */
const LINES_MAX = 20_000;

/** Signs in a log that a program found itself in the wrong. */
const OWN_FAULT = /AddressSanitizer|ThreadSanitizer|LeakSanitizer|runtime error:|ASSERT|assertion/;

/** What children get of our environment; the settings of whoever runs the tests must not leak in. */
const ENVIRONMENT_KEPT = ['PATH', 'HOME', 'LANG', 'ASAN_OPTIONS', 'UBSAN_OPTIONS', 'TSAN_OPTIONS', 'LSAN_OPTIONS'];

/** Those that have not ended. @type {Set<Child>} */
export const runningChildren = new Set();

export class Child extends Changes {
    /** @type {{at: number, stream: 'out' | 'err', text: string}[]} newest last */
    lines = [];
    /** @type {{code: number | null, signal: string | null} | null} null while it runs */
    exit = null;
    /** Whether its end was asked for, so that it is no failure. */
    isEndExpected = false;

    /**
     * Starts a program.
     *
     * @param {string} name for the logs of a failed test
     * @param {string} program
     * @param {string[]} args
     * @param {object} [options]
     * @param {Record<string, string>} [options.env] its settings
     * @param {string} [options.user] name of the account to run it as (only root may choose)
     * @param {string} [options.cwd]
     * @param {string[]} [options.launcher] a command in front of it that becomes the program, as `ip netns exec NAME`
     * @param {string} [options.preload] a library that is loaded into it, and not into what launches it
     */
    constructor(name, program, args, { env = {}, user, cwd, launcher = [], preload } = {}) {
        super();
        this.name = name;
        const identity = user ? [`--reuid=${user}`, `--regid=${user}`, '--clear-groups'] : [];
        const kept = ENVIRONMENT_KEPT.filter((key) => key in process.env).map((key) => [key, process.env[key]]);
        const loader = preload ? ['env', `LD_PRELOAD=${preload}`] : [];
        const command = [...launcher, 'setpriv', ...identity, '--pdeathsig', 'KILL', '--', ...loader, program, ...args];
        this.process = spawn(command[0], command.slice(1), {
            env: { ...Object.fromEntries(kept), ...env },
            cwd,
            stdio: ['ignore', 'pipe', 'pipe'],
        });
        runningChildren.add(this);
        this.#read('out', this.process.stdout);
        this.#read('err', this.process.stderr);
        this.exited = new Promise((resolve, reject) => {
            this.process.once('error', (error) => {
                runningChildren.delete(this);
                reject(error);
            });
            // 'close', not 'exit': all output has been read by then.
            this.process.once('close', (code, signal) => {
                runningChildren.delete(this);
                this.exit = { code, signal };
                this.changed();
                resolve(this.exit);
            });
        });
        this.exited.catch(() => {});
    }

    get pid() {
        return this.process.pid;
    }

    get isRunning() {
        return this.exit === null;
    }

    /** Everything that it wrote to one of its streams, as one string. */
    text(stream) {
        return this.lines
            .filter((line) => line.stream === stream)
            .map((line) => line.text + '\n')
            .join('');
    }

    /**
     * Waits for a line of output. Fails at once when the process ends without it.
     *
     * @param {RegExp} pattern
     * @param {number} [timeoutMs]
     * @returns {Promise<RegExpMatchArray>}
     */
    async line(pattern, timeoutMs) {
        return this.until(
            () => {
                for (const { text } of this.lines) {
                    const match = text.match(pattern);
                    if (match) return match;
                }
                if (this.exit) throw new Error(`${this.name} ended (${this.ending()}) before it wrote ${pattern}`);
                return null;
            },
            `a line like ${pattern} from ${this.name}`,
            timeoutMs,
        );
    }

    /** Sends a signal and does not wait. */
    signal(name) {
        if (this.isRunning) this.process.kill(name);
    }

    /**
     * Ends the process and waits until it is gone.
     *
     * @param {'SIGTERM' | 'SIGKILL' | 'SIGINT' | 'SIGQUIT'} [signal]
     */
    async end(signal = 'SIGTERM') {
        this.isEndExpected = true;
        this.signal(signal);
        return within(this.exited, `the end of ${this.name} after ${signal}`);
    }

    /** Why this process's life would fail a test; null when it behaved. */
    fault() {
        const confession = this.lines.find((line) => OWN_FAULT.test(line.text));
        if (confession) return `${this.name} reported: ${confession.text}`;
        if (this.exit && !this.isEndExpected) return `${this.name} ended by itself (${this.ending()})`;
        if (this.exit && this.exit.signal === null && this.exit.code !== 0)
            return `${this.name} ended with status ${this.exit.code}`;
        return null;
    }

    ending() {
        return this.exit.signal ?? `status ${this.exit.code}`;
    }

    #read(stream, source) {
        createInterface({ input: source }).on('line', (text) => {
            this.lines.push({ at: Date.now(), stream, text });
            if (this.lines.length > LINES_MAX) this.lines.splice(0, LINES_MAX / 10);
            this.changed();
        });
    }
}
