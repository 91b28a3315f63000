/**
 * eio-echo and sio-echo: the protocol library without chat, one process for all the tests of a file.
 */
import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before } from 'node:test';
import { Child } from './child.mjs';
import { runningStacks } from './logs.mjs';
import { BIN_DIR, ROOT } from './parley.mjs';

export class Echo {
    /** Whether the process is ours to look into. With PARLEY_URLS it is not started: its tests are skipped. */
    isOwn = !process.env.PARLEY_URLS;
    /** @type {Child[]} */
    children = [];
    port = 0;

    /** @param {'eio-echo' | 'sio-echo'} program */
    constructor(program, options) {
        this.program = program;
        this.path = program === 'eio-echo' ? '/engine.io/' : '/socket.io/';
        this.args = Object.entries({ port: 0, ...options }).map(([name, value]) => `--${name}=${value}`);
    }

    get url() {
        return `http://127.0.0.1:${this.port}`;
    }

    get pid() {
        return this.children[0].pid;
    }

    async start() {
        const binary = path.join(BIN_DIR, this.program);
        if (!existsSync(binary)) throw new Error(`no ${binary}: make build, or set PARLEY_BIN_DIR`);
        runningStacks.add(this);
        const child = new Child(this.program, binary, this.args, { cwd: ROOT });
        this.children.push(child);
        this.port = Number((await child.line(/^listening port=(\d+)$/))[1]);
    }

    async stop() {
        runningStacks.delete(this);
        for (const child of this.children) {
            if (child.isRunning) await child.end();
            const fault = child.fault();
            if (fault) throw new Error(fault);
        }
    }

    /** There is nothing that a test could have stopped. */
    async heal() {}
}

/** An echo server for all the tests of a file. @returns {Echo} started before the first test runs */
export function ownEcho(program, options) {
    const echo = new Echo(program, options);
    if (echo.isOwn) {
        before(() => echo.start());
        after(() => echo.stop());
    }
    return echo;
}

/** How many files a process has open. */
export async function openFiles(pid) {
    return (await readdir(`/proc/${pid}/fd`)).length;
}

/** Memory of a process that is in RAM, in bytes. */
export async function residentBytes(pid) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    return Number(status.match(/^VmRSS:\s+(\d+) kB$/m)[1]) * 1024;
}
