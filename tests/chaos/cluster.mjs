/**
 * The real system: three gateways, two store-services, NATS and Postgres, each at its own place in the network.
 *
 * Postgres lives on a small file system of its own, which can be full. The second store, the third gateway and Postgres
 * have a wall clock that can be set (libfaketime; the monotonic one goes on as it is); the others run without it, so that
 * whatever it does is not taken for the system's own behaviour.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readFile, rename, statfs, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { Child } from '../integration/harness/child.mjs';
import { ROOT, UNLIMITED } from '../integration/harness/parley.mjs';
import { Postgres } from '../integration/harness/postgres.mjs';
import { eventually, within } from '../integration/harness/wait.mjs';
import { Network } from './network.mjs';

const run = promisify(execFile);

export const GATEWAYS = ['gateway-0', 'gateway-1', 'gateway-2'];
export const STORES = ['store-0', 'store-1'];
export const NATS = 'nats';
export const POSTGRES = 'postgres';

/** Whose wall clock can be set. */
export const WITH_CLOCK = ['gateway-2', 'store-1', POSTGRES];

const BIN_DIR = process.env.PARLEY_BIN_DIR || path.join(ROOT, 'build/failpoints/bin');

/** libfaketime's places in Debian. */
const FAKETIME = ['x86_64-linux-gnu', 'aarch64-linux-gnu']
    .map((triple) => `/usr/lib/${triple}/faketime/libfaketimeMT.so.1`)
    .find((file) => existsSync(file));

/** Of the file system of Postgres. */
const DISK_BYTES = 1024 * 1024 * 1024;

/**
 * The log of messages in each gateway's memory is small, so that pages are read from the store, and so is what is sent to
 * who comes back, so that there are gaps.
 */
const GATEWAY_ENV = {
    HOST: '0.0.0.0',
    PING_INTERVAL: '5s',
    PING_TIMEOUT: '8s',
    DRAIN: '1s',
    LOG_BYTES_MAX: '16MiB',
    ROOM_LOG_BYTES_MAX: '64KiB',
    RECOVERY_MAX: '200',
    ...UNLIMITED,
};

const POSTGRES_CONFIGURATION = `
min_wal_size = 16MB
max_wal_size = 64MB
checkpoint_timeout = 60s
`;

/** The longest that a service may take to end when it is asked to: docs/architecture.md. */
const TERM_MS = 30_000;

/** One process at its place, through all its lives. */
class Part {
    /** @type {Child | null} */
    child = null;
    /** What its lives did that they should not have. @type {string[]} */
    misdeeds = [];

    constructor(cluster, name, program, { args = [], env = {} }) {
        Object.assign(this, { cluster, name, program, args, env });
    }

    start() {
        const { env, ...place } = this.cluster.placeOf(this.name);
        const child = new Child(this.name, this.program, this.args, { env: { ...this.env, ...env }, cwd: ROOT, ...place });
        this.child = child;
        child.exited.then(() => this.#bury(child));
    }

    async kill() {
        await this.child.end('SIGKILL');
    }

    /** Asks it to end, and waits. */
    async stop() {
        this.child.isEndExpected = true;
        this.child.signal('SIGTERM');
        await within(this.child.exited, `the end of ${this.name} after SIGTERM`, TERM_MS);
    }

    freeze() {
        this.child.signal('SIGSTOP');
    }

    thaw() {
        this.child.signal('SIGCONT');
    }

    /** Whether it stands still. */
    async isFrozen() {
        const stat = await readFile(`/proc/${this.child.pid}/stat`, 'utf8').catch(() => '');
        return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
    }

    /** Resident memory, KiB; 0 where it does not run. */
    async residentKib() {
        if (!this.child?.isRunning) return 0;
        const status = await readFile(`/proc/${this.child.pid}/status`, 'utf8').catch(() => '');
        return Number(status.match(/^VmRSS:\s+(\d+) kB/m)?.[1] ?? 0);
    }

    async #bury(child) {
        // NATS ends with 1 when it is asked to end; of the programs that are ours more is asked.
        const fault = this.name === NATS && child.isEndExpected ? null : child.fault();
        if (fault) this.misdeeds.push(fault);
        await this.cluster.keepLog(child);
    }
}

export class Cluster {
    /** @type {Network} */
    network;
    /** @type {Map<string, Part>} all but Postgres */
    parts = new Map();
    /** @type {Postgres} */
    postgres;
    /** A memory file system that only this run sees: scripts/chaos. */
    folder = '/dev/shm/parley';

    /**
     * Starts all of it and waits until it is ready.
     *
     * @param {string} folder where logs are kept
     */
    static async start(folder) {
        if (!FAKETIME) throw new Error('libfaketime is not installed: scripts/setup chaos');
        const cluster = new Cluster();
        cluster.logs = path.join(folder, 'logs');
        await mkdir(cluster.folder);
        await mkdir(cluster.logs, { recursive: true });
        cluster.network = await Network.create([...GATEWAYS, ...STORES, NATS, POSTGRES]);
        for (const name of WITH_CLOCK) await cluster.setClock(name, 0);
        await cluster.#makePostgres();
        await cluster.#startParts();
        return cluster;
    }

    /** The address that clients know a gateway by. */
    url(gateway) {
        return `http://${this.network.address(gateway)}:3000`;
    }

    part(name) {
        return this.parts.get(name);
    }

    /** Options of a Child that put it at a part's place in the network, and under its clock. */
    placeOf(name) {
        const place = { launcher: this.network.launcher(name) };
        if (!WITH_CLOCK.includes(name)) return place;
        const env = {
            FAKETIME_TIMESTAMP_FILE: this.#clockFile(name),
            FAKETIME_DONT_FAKE_MONOTONIC: '1',
            FAKETIME_CACHE_DURATION: '1',
            // Else waits on conditions by the monotonic clock end at once.
            FAKETIME_FORCE_MONOTONIC_FIX: '0',
            NO_FAKE_STAT: '1',
        };
        return { ...place, preload: FAKETIME, env };
    }

    /** Sets a part's wall clock to so many seconds from the right time, in its next second. */
    async setClock(name, seconds) {
        await putFile(this.#clockFile(name), `${seconds < 0 ? '' : '+'}${seconds}\n`);
    }

    /** The next time that a store passes this point, it does as told: base/failpoint.h. */
    async armFailpoint(store, point, what) {
        await putFile(path.join(this.#failpoints(store), point), what);
    }

    /** Starts Postgres again. */
    async startPostgres() {
        await this.keepLog(this.postgres.child);
        await this.postgres.start();
    }

    /** The disk of Postgres has not a byte left. */
    async fillDisk() {
        const shrink = async () => {
            const { blocks, bfree, bsize } = await statfs(this.#disk);
            await this.#resizeDisk((blocks - bfree) * bsize);
            return true;
        };
        await eventually(shrink, 'nothing to be written while the disk gets smaller');
    }

    async emptyDisk() {
        await this.#resizeDisk(DISK_BYTES);
    }

    /** Resident memory of each program of ours, KiB. @returns {Promise<Record<string, number>>} */
    async residentKib() {
        const names = [...GATEWAYS, ...STORES];
        return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await this.part(name).residentKib()])));
    }

    /** Waits until a gateway or a store says that it is ready. */
    async ready(name) {
        const url = `http://${this.network.address(name)}:9100/readyz`;
        await eventually(async () => (await fetch(url, { signal: AbortSignal.timeout(1000) })).ok, `${name} to be ready`);
    }

    /** What the programs did that they should not have. */
    get misdeeds() {
        return [...this.parts.values()].flatMap((part) => part.misdeeds);
    }

    /** Appends what a life of a process said to the part's log. */
    async keepLog(child) {
        const lines = child.lines.map(({ at, text }) => `${new Date(at).toISOString()} ${text}\n`);
        const ending = child.exit ? `──── ended: ${child.ending()}\n` : '';
        await appendFile(path.join(this.logs, `${child.name}.log`), lines.join('') + ending);
    }

    /** Appends what all that run have said so far. */
    async keepLogs() {
        const children = [...this.parts.values(), this.postgres].map(({ child }) => child);
        for (const child of children.filter(({ isRunning }) => isRunning)) await this.keepLog(child);
    }

    /** Ends all of it. */
    async stop() {
        const parts = [...this.parts.values()];
        await Promise.all(parts.filter((part) => part.name !== NATS && part.child.isRunning).map((part) => part.stop()));
        await this.part(NATS).kill();
        await this.postgres.stop();
        await this.keepLog(this.postgres.child);
    }

    async #makePostgres() {
        await mkdir(this.#disk);
        await run('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'parley-chaos', this.#disk]);
        this.postgres = await Postgres.start(this.#disk, {
            configuration: `listen_addresses = '${this.network.address(POSTGRES)}'\n${POSTGRES_CONFIGURATION}`,
            access: 'host all all samenet trust\n',
            initdb: ['--wal-segsize=4'],
            process: this.placeOf(POSTGRES),
        });
    }

    async #startParts() {
        const address = (name) => this.network.address(name);
        const shared = { NATS_URL: `nats://${address(NATS)}:4222`, ADMIN_PORT: '9100' };
        this.#add(NATS, 'nats-server', { args: ['-a', address(NATS), '-p', '4222'] });
        for (const name of STORES) {
            await mkdir(this.#failpoints(name), { recursive: true });
            this.#add(name, path.join(BIN_DIR, 'parley-store'), {
                env: {
                    ...shared,
                    ADMIN_HOST: address(name),
                    DATABASE_URL: `postgresql://parley@${address(POSTGRES)}/parley`,
                    FAILPOINT_DIR: this.#failpoints(name),
                },
            });
        }
        const keys = `chaos:${randomBytes(32).toString('hex')}`;
        for (const name of GATEWAYS)
            this.#add(name, path.join(BIN_DIR, 'parley-gateway'), {
                env: { ...shared, ...GATEWAY_ENV, ADMIN_HOST: address(name), SESSION_KEYS: keys },
            });
        for (const part of this.parts.values()) part.start();
        await Promise.all([...STORES, ...GATEWAYS].map((name) => this.ready(name)));
    }

    #add(name, program, how) {
        this.parts.set(name, new Part(this, name, program, how));
    }

    get #disk() {
        return path.join(this.folder, 'disk');
    }

    async #resizeDisk(bytes) {
        await run('mount', ['-o', `remount,size=${bytes}`, this.#disk]);
    }

    #failpoints(store) {
        return path.join(this.folder, 'failpoints', store);
    }

    #clockFile(name) {
        return path.join(this.folder, `clock-of-${name}`);
    }
}

/** Puts a file in its place when it is complete. */
async function putFile(file, text) {
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
}
