/**
 * A private Postgres in a temporary folder, reached through a Unix socket: it takes no port.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, chown, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { Child } from './child.mjs';
import { eventually } from './wait.mjs';

const run = promisify(execFile);

/** Where Debian, and others, keep initdb; the first that has it, then PATH. */
const BIN_DIRS = [process.env.PARLEY_POSTGRES_BIN, '/usr/lib/postgresql/15/bin', '/usr/lib/postgresql/16/bin'];

/**
 * What is cut from durability is only what a power failure could tell: the kernel keeps written pages when a process is
 * killed, and the tests kill nothing but processes. synchronous_commit stays on, as Parley needs it.
 */
const CONFIGURATION = `
listen_addresses = ''
fsync = off
full_page_writes = off
max_connections = 60
shared_buffers = 32MB
log_min_messages = warning
log_line_prefix = '%m '
`;

const USER = 'parley';
const DATABASE = 'parley';

export class Postgres {
    /** @type {Child | null} */
    child = null;
    #pool = null;
    #more = {};

    /**
     * Makes a cluster in the folder and starts it.
     *
     * @param {string} folder an existing folder of the stack's; its path is short, for the socket's sake
     * @param {object} [more]
     * @param {string} [more.configuration] lines of postgresql.conf that come last
     * @param {string} [more.access] lines of pg_hba.conf that come last
     * @param {string[]} [more.initdb] more arguments for initdb
     * @param {object} [more.process] options of the server's Child
     */
    static async start(folder, more = {}) {
        const postgres = new Postgres(folder);
        postgres.#more = more;
        await postgres.#initialise();
        await postgres.start();
        await postgres.#once('postgres', `CREATE DATABASE ${DATABASE}`);
        return postgres;
    }

    /**
     * Makes a standby that follows a running server, asynchronously, and starts it.
     *
     * @param {Postgres} primary
     * @param {string} folder is made
     */
    static async standbyOf(primary, folder) {
        await mkdir(folder);
        const standby = new Postgres(folder);
        await standby.#makeDataFolder();
        await standby.#runAsAccount('pg_basebackup', [
            ...['-D', standby.data, '-h', primary.socketFolder, '-U', USER],
            ...['-X', 'stream', '--checkpoint', 'fast', '--no-sync', '--write-recovery-conf'],
        ]);
        await standby.start();
        return standby;
    }

    constructor(folder) {
        this.bin = BIN_DIRS.find((dir) => dir && existsSync(path.join(dir, 'initdb'))) ?? '';
        this.data = path.join(folder, 'pg');
        this.socketFolder = folder;
    }

    /** Connection string for libpq. */
    get url() {
        return Postgres.urlOf(this);
    }

    /** Connection string for several servers, in the order in which they are tried. */
    static urlOf(...servers) {
        const hosts = servers.map((server) => encodeURIComponent(server.socketFolder)).join(',');
        return `postgresql://${USER}@/${DATABASE}?host=${hosts}`;
    }

    /** Makes a primary of a standby, and waits until it is one. */
    async promote() {
        await this.rows('SELECT pg_promote()');
    }

    /** Changes a setting of the server for good, as far as that takes no restart. */
    async set(name, value) {
        await this.rows(`ALTER SYSTEM SET ${name} = '${value}'`);
        await this.rows('SELECT pg_reload_conf()');
    }

    /** Starts the server on its folder and waits until it answers. */
    async start() {
        this.child = new Child('postgres', path.join(this.bin, 'postgres'), ['-D', this.data, '-k', this.socketFolder], {
            user: this.#account,
            ...this.#more.process,
        });
        await eventually(() => {
            if (!this.child.isRunning) return true;
            return this.#once('postgres', 'SELECT 1');
        }, 'Postgres to answer');
        if (!this.child.isRunning) throw new Error(`Postgres ended: ${this.child.text('err')}`);
    }

    /**
     * Stops the server.
     *
     * @param {'fast' | 'immediate'} how immediate is a crash: the next start recovers from the log
     */
    async stop(how = 'fast') {
        await this.#resumeAll();
        await this.#pool?.end();
        this.#pool = null;
        await this.child.end(how === 'immediate' ? 'SIGQUIT' : 'SIGINT');
    }

    /** Freezes every process of the server: connections stay open and answer nothing. */
    async pause() {
        await this.#signalAll('SIGSTOP');
    }

    async resume() {
        await this.#resumeAll();
    }

    /** Writes a backup of the database to a file, as an operator would. */
    async backup(file) {
        await run(path.join(this.bin, 'pg_dump'), ['-h', this.socketFolder, '-U', USER, '-f', file, DATABASE]);
    }

    /**
     * Loses the server with all its data, and restores a backup on a new one, at the same address. The database takes
     * its name when it is whole, so that nobody meets a half of it.
     */
    async restore(file) {
        await this.stop('immediate');
        await rm(this.data, { recursive: true });
        await this.#initialise();
        await this.start();
        await this.#once('postgres', 'CREATE DATABASE restoring');
        const args = ['-h', this.socketFolder, '-U', USER, '-d', 'restoring', '-q', '-v', 'ON_ERROR_STOP=1', '-f', file];
        await run(path.join(this.bin, 'psql'), args);
        await this.#once('postgres', `ALTER DATABASE restoring RENAME TO ${DATABASE}`);
    }

    /** Rows of a query, as the tests' own eyes on the database. */
    async rows(sql, values = []) {
        this.#pool ??= Postgres.poolOf(this.url);
        return (await this.#pool.query(sql, values)).rows;
    }

    /** A pool that a dying server does not take the test down with. */
    static poolOf(url) {
        const parsed = new URL(url.replace('@/', '@localhost/'));
        const host = parsed.searchParams.get('host');
        const pool = new pg.Pool(
            host
                ? { host, user: parsed.username, database: parsed.pathname.slice(1), max: 2 }
                : { connectionString: url, max: 2 },
        );
        pool.on('error', () => {});
        return pool;
    }

    /** initdb refuses root; elsewhere whoever runs the tests will do. */
    get #account() {
        return process.getuid() === 0 ? 'postgres' : undefined;
    }

    async #initialise() {
        await this.#makeDataFolder();
        const args = ['-U', USER, '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'];
        await this.#runAsAccount('initdb', ['-D', this.data, ...args, ...(this.#more.initdb ?? [])]);
        await writeFile(path.join(this.data, 'postgresql.auto.conf'), CONFIGURATION + (this.#more.configuration ?? ''));
        await appendFile(path.join(this.data, 'pg_hba.conf'), this.#more.access ?? '');
    }

    async #makeDataFolder() {
        await mkdir(this.data, { mode: 0o700 });
        if (!this.#account) return;
        const [uid, gid] = await Promise.all(['-u', '-g'].map((flag) => run('id', [flag, this.#account])));
        for (const folder of [this.data, this.socketFolder]) await chown(folder, Number(uid.stdout), Number(gid.stdout));
    }

    async #runAsAccount(program, args) {
        const command = [path.join(this.bin, program), ...args];
        const identity = [`--reuid=${this.#account}`, `--regid=${this.#account}`, '--clear-groups'];
        if (this.#account) command.unshift('setpriv', ...identity, '--pdeathsig', 'KILL', '--');
        await run(command[0], command.slice(1));
    }

    async #once(database, sql) {
        const client = new pg.Client({ host: this.socketFolder, user: USER, database });
        client.on('error', () => {});
        await client.connect();
        try {
            return (await client.query(sql)).rows;
        } finally {
            await client.end();
        }
    }

    /** Ends the server's own process alone, without any warning, and waits until its children have noticed. */
    async decapitate() {
        const pids = await this.#pids();
        await this.child.end('SIGKILL');
        await eventually(() => pids.every((pid) => !existsSync(`/proc/${pid}`)), 'the children of Postgres to end');
    }

    /** The server's own process first, then its children. */
    async #pids() {
        const pids = [this.child.pid];
        for (const name of await readdir('/proc')) {
            if (!/^\d+$/.test(name)) continue;
            // The second field, the command, may hold spaces: read from behind its bracket.
            const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
            const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
            if (parent === this.child.pid) pids.push(Number(name));
        }
        return pids;
    }

    async #resumeAll() {
        if (this.child.isRunning) await this.#signalAll('SIGCONT');
    }

    async #signalAll(signal) {
        for (const pid of await this.#pids()) {
            try {
                process.kill(pid, signal);
            } catch (error) {
                if (error.code !== 'ESRCH') throw error;
                // It has ended since it was listed.
            }
        }
    }
}
