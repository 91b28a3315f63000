/**
 * Thousands of clients: bench/'s load generator, which checks by itself what each of them is promised.
 */
import path from 'node:path';
import { Child } from './child.mjs';
import { BIN_DIR, ROOT } from './parley.mjs';

export class Load {
    /**
     * Starts it.
     *
     * @param {import('./stack.mjs').Stack} stack which it is ended with
     * @param {string} mode
     * @param {Record<string, string | number | import('./parley.mjs').Gateway[]>} options its own, without the dashes;
     *     gateways stand for their addresses
     */
    constructor(stack, mode, options) {
        const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, text(value)]);
        this.child = new Child(mode, path.join(BIN_DIR, 'parley-load'), [mode, ...args], { cwd: ROOT });
        stack.adopt({ child: this.child, lives: [this.child], stop: () => this.child.end('SIGKILL') });
    }

    /** Waits until all clients of a storm have joined: now their gateway may die. */
    async joined() {
        await this.child.line(/^joined$/);
    }

    /** Waits for its end. Returns what it tells, or fails with its sentence when anybody was not served as promised. */
    async result(timeoutMs) {
        this.child.isEndExpected = true;
        await this.child.until(() => this.child.exit, 'the end of the load generator', timeoutMs);
        if (this.child.exit.code !== 0) throw new Error(this.child.text('err').trim() || this.child.ending());
        return JSON.parse(this.child.text('out').trim().split('\n').at(-1));
    }
}

function text(value) {
    return Array.isArray(value) ? value.map(({ port }) => `127.0.0.1:${port}`).join(',') : String(value);
}
