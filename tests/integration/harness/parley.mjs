/**
 * Parley's two programs as processes of a stack: started on free ports, waited for, killed, started again.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Child } from './child.mjs';
import { eventually } from './wait.mjs';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** Folder of parley-gateway and parley-store. */
export const BIN_DIR = process.env.PARLEY_BIN_DIR ?? path.join(ROOT, 'build/bin');

/** A program that logs which ports it took, and answers /readyz on one of them. */
class Program {
    /** @type {Child | null} */
    child = null;
    /** Every life of it, for the logs. @type {Child[]} */
    lives = [];
    adminPort = 0;
    /** Where the program is; another version's from the next start on, when it is changed. */
    binDir = BIN_DIR;

    constructor(name, program, env) {
        this.name = name;
        this.program = program;
        this.env = env;
    }

    get binary() {
        return path.join(this.binDir, this.program);
    }

    get adminUrl() {
        return `http://127.0.0.1:${this.adminPort}`;
    }

    /** Starts the process, and waits until it listens. It may not be ready yet. */
    async launch(env = {}) {
        if (!existsSync(this.binary)) throw new Error(`no ${this.binary}: make build, or set PARLEY_BIN_DIR`);
        this.child = new Child(this.name, this.binary, [], { env: { ...this.env, ...env }, cwd: ROOT });
        this.lives.push(this.child);
        await this.onLaunched();
    }

    /** Starts the process, and waits until it says that it is ready. */
    async start(env = {}) {
        await this.launch(env);
        await this.ready();
    }

    async ready() {
        await eventually(async () => {
            if (!this.child.isRunning) return true;
            return (await fetch(`${this.adminUrl}/readyz`)).ok;
        }, `${this.name} to be ready`);
        if (!this.child.isRunning) throw new Error(`${this.name} ended (${this.child.ending()}) before it was ready`);
    }

    /** Ends the process without any warning. */
    async kill() {
        await this.child.end('SIGKILL');
    }

    /** Asks the process to end. */
    async stop() {
        return this.child.end('SIGTERM');
    }

    /** Its metrics, as Prometheus text. */
    async metrics() {
        return (await fetch(`${this.adminUrl}/metrics`)).text();
    }

    /** The port that the line of an event tells in a field (logfmt). */
    async portOf(event, field) {
        const line = await this.child.line(new RegExp(`^event=${event} .* ${field}=(\\d+)`));
        return Number(line[1]);
    }
}

/** Settings of a gateway whose clients may say as much as they can, and be as many; limits.test.mjs and rate.test.mjs look at the limits. */
export const UNLIMITED = { CLIENT_RATE: '0', ROOM_RATE: '0', CONNECTIONS_PER_ADDRESS_MAX: '0', ROOMS_PER_ADDRESS_MAX: '0' };

export class Gateway extends Program {
    port = 0;

    constructor(name, env) {
        const own = { PORT: '0', HOST: '127.0.0.1', ADMIN_PORT: '0', DRAIN: '100ms' };
        super(name, 'parley-gateway', { ...own, ...UNLIMITED, ...env });
    }

    get url() {
        return `http://127.0.0.1:${this.port}`;
    }

    async onLaunched() {
        this.adminPort = await this.portOf('admin_listening', 'port');
        this.port = await this.portOf('listening', 'port');
    }
}

export class Store extends Program {
    constructor(name, env) {
        super(name, 'parley-store', { ADMIN_PORT: '0', ...env });
    }

    async onLaunched() {
        this.adminPort = await this.portOf('started', 'admin_port');
    }
}
