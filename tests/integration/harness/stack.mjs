/**
 * A stack: Postgres, NATS, store-services and gateways; either the tests' own, or one that runs already.
 *
 * With PARLEY_URLS (addresses of gateways, or of a balancer, separated by commas) in the environment, `anyStack()` takes the running stack,
 * and tests that must kill or look into the parts are skipped. PARLEY_DATABASE_URL, where given, lets those run that
 * only read its database.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';
import { HaProxy } from './balancer.mjs';
import { Door } from './door.mjs';
import { printLogs, runningStacks } from './logs.mjs';
import { Nats } from './nats.mjs';
import { Gateway, Store } from './parley.mjs';
import { Postgres } from './postgres.mjs';
import { PATIENCE } from './wait.mjs';

const FOLDER_PREFIX = 'parley-it-';

export class Stack {
    /** @type {Gateway[]} */
    gateways = [];
    /** @type {Store[]} */
    stores = [];
    /** @type {Postgres | null} */
    postgres = null;
    /** @type {Nats | null} */
    nats = null;
    /** In front of the gateways, where it was wished for. @type {HaProxy | null} */
    haproxy = null;
    /** Whether the processes are ours to kill and to look into. */
    isOwn = true;
    /** One door for each gateway, whose address stays when the gateway is started again. @type {Door[]} */
    doors = [];
    #folder = '';
    #otherDoors = [];
    #otherChildren = [];
    /** @type {Postgres[]} */
    #standbys = [];

    /**
     * Starts a stack of our own and waits until all of it is ready.
     *
     * @param {object} [shape]
     * @param {number} [shape.gateways]
     * @param {number} [shape.stores]
     * @param {Record<string, string>} [shape.gatewayEnv] settings of every gateway
     * @param {Record<string, string>} [shape.storeEnv] settings of every store-service
     * @param {Parameters<Nats['start']>[0]} [shape.nats] how NATS is started
     * @param {string} [shape.natsHost] by which services know its host, the loopback
     * @param {boolean} [shape.haproxy] whether to start one
     * @param {string} [shape.binDir] where the programs are, if not those of this checkout
     */
    async start({ gateways = 2, stores = 1, gatewayEnv = {}, storeEnv = {}, nats = {}, natsHost = '127.0.0.1', haproxy = false, binDir } = {}) {
        runningStacks.add(this);
        await sweep();
        this.#folder = await mkdtemp(path.join(tmpdir(), `${FOLDER_PREFIX}${process.pid}-`));
        [this.postgres, this.nats] = await Promise.all([Postgres.start(this.#folder), Nats.start(nats)]);
        const settings = { NATS_URL: this.nats.url.replace('127.0.0.1', natsHost), LOG_LEVEL: process.env.PARLEY_TEST_LOG_LEVEL ?? 'info' };
        const shared = { ...settings, SESSION_KEYS: `test:${randomBytes(32).toString('hex')}` };
        for (let i = 0; i < stores; i++)
            this.stores.push(new Store(`store-${i}`, { ...settings, DATABASE_URL: this.postgres.url, ...storeEnv }));
        for (let i = 0; i < gateways; i++) {
            const gateway = new Gateway(`gateway-${i}`, { ...shared, ...gatewayEnv });
            this.gateways.push(gateway);
            this.doors.push(await Door.open(() => (gateway.child?.isRunning ? gateway.port : null)));
        }
        const programs = [...this.stores, ...this.gateways];
        if (binDir) for (const program of programs) program.binDir = binDir;
        await Promise.all(programs.map((program) => program.start()));
        if (haproxy) this.haproxy = await HaProxy.start(this);
    }

    /** Addresses of the gateways: their doors, in a stack of our own. */
    get urls() {
        return this.doors.map((door) => door.url);
    }

    /** Opens one more door, that leads to a gateway of choice. */
    async door(index) {
        const door = await Door.open(() => this.doors[index].port);
        this.#otherDoors.push(door);
        return door;
    }

    /** Starts a standby of the stack's Postgres, which ends with the stack. @returns {Promise<Postgres>} */
    async standby() {
        const standby = await Postgres.standbyOf(this.postgres, path.join(this.#folder, 'standby'));
        this.#standbys.push(standby);
        return standby;
    }

    /** Counts a process of a test's own among those that are printed and ended with the stack. */
    adopt(program) {
        this.#otherChildren.push(program);
        return program;
    }

    /** A path in the stack's own folder, which goes with it. */
    file(name) {
        return path.join(this.#folder, name);
    }

    /** Rows of a query on the stack's database. */
    async rows(sql, values) {
        return this.postgres.rows(sql, values);
    }

    /** Starts again whatever a failed test has left stopped or frozen. */
    async heal() {
        if (this.nats.child.isRunning) this.nats.child.signal('SIGCONT');
        else await this.nats.start();
        if (this.postgres.child.isRunning) await this.postgres.resume();
        else await this.postgres.start();
        for (const program of [...this.stores, ...this.gateways]) {
            program.child.signal('SIGCONT');
            if (!program.child.isRunning) await program.start();
        }
    }

    /** Every process, dead ones too. */
    get children() {
        const programs = [...this.stores, ...this.gateways, ...this.#otherChildren];
        return [this.nats?.child, this.postgres?.child, ...programs.flatMap((program) => program.lives)].filter(Boolean);
    }

    /** Ends all of it, gently; fails when a process of ours did not behave. */
    async stop() {
        runningStacks.delete(this);
        const programs = [...this.gateways, ...this.#otherChildren, ...this.stores];
        const faults = [];
        try {
            await Promise.all(programs.map((program) => program.child?.isRunning && program.stop()));
            for (const child of programs.flatMap((program) => program.lives)) faults.push(child.fault());
        } finally {
            // Before their folder goes, in which a server that still runs would make files.
            await Promise.all([this.postgres, ...this.#standbys].map((server) => server?.stop('immediate')));
            await this.nats?.stop();
            await Promise.all([...this.doors, ...this.#otherDoors].map((door) => door.close()));
            await rm(this.#folder, { recursive: true, force: true });
        }
        const told = faults.filter(Boolean);
        if (told.length > 0) throw new Error(told.join('\n'));
    }
}

/** A stack that somebody else runs. */
class RunningStack extends Stack {
    isOwn = false;
    #urls = process.env.PARLEY_URLS.split(',').map((url) => url.trim().replace(/\/$/, ''));
    #pool = null;

    async start() {}

    /** At least two: the one of a balancer stands for any gateway. */
    get urls() {
        return this.#urls.length === 1 ? [...this.#urls, ...this.#urls] : this.#urls;
    }

    async rows(sql, values = []) {
        this.#pool ??= Postgres.poolOf(process.env.PARLEY_DATABASE_URL);
        return (await this.#pool.query(sql, values)).rows;
    }

    async stop() {
        await this.#pool?.end();
    }
}

/**
 * A stack for all the tests of a file, of our own.
 *
 * @param {Parameters<Stack['start']>[0]} [shape]
 * @returns {Stack} filled before the first test runs
 */
export function ownStack(shape) {
    const stack = new Stack();
    if (process.env.PARLEY_URLS) stack.isOwn = false; // its tests are skipped: promise.mjs
    else around(stack, shape);
    return stack;
}

/**
 * A stack for all the tests of a file: the one that runs already where PARLEY_URLS names it, else one of our own.
 *
 * @param {Parameters<Stack['start']>[0]} [shape]
 * @returns {Stack}
 */
export function anyStack(shape) {
    const stack = process.env.PARLEY_URLS ? new RunningStack() : new Stack();
    around(stack, shape);
    return stack;
}

/** A room that no other test, and no earlier run, has used. */
export function freshRoom(name = 'room') {
    return `${name}-${randomBytes(6).toString('hex')}`;
}

function around(stack, shape) {
    before(() => startOrTell(stack, shape), { timeout: 120_000 * PATIENCE });
    after(() => stack.stop(), { timeout: 120_000 * PATIENCE });
}

async function startOrTell(stack, shape) {
    try {
        await stack.start(shape);
    } catch (error) {
        printLogs('the start of the stack');
        throw error;
    }
}

/** Removes the folders of runners that were killed before they could. */
async function sweep() {
    for (const name of await readdir(tmpdir())) {
        const pid = name.startsWith(FOLDER_PREFIX) && parseInt(name.slice(FOLDER_PREFIX.length), 10);
        if (!pid) continue;
        try {
            process.kill(pid, 0);
        } catch (error) {
            if (error.code === 'ESRCH') await rm(path.join(tmpdir(), name), { recursive: true, force: true });
        }
    }
}
