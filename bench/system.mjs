/**
 * What is measured: Parley's processes with a Postgres and a NATS of their own, and the bare server. They are started
 * by the integration tests' harness, but as in earnest: Postgres keeps what it commits through a power failure, and
 * nothing stands between the programs.
 */
import { rmSync } from 'node:fs';
import { appendFile, mkdtemp } from 'node:fs/promises';
import path from 'node:path';
import { Child } from '../tests/integration/harness/child.mjs';
import { BIN_DIR, Gateway, Store } from '../tests/integration/harness/parley.mjs';
import { Postgres } from '../tests/integration/harness/postgres.mjs';

/** In place of what the tests cut from durability. */
export const POSTGRES_IN_EARNEST = `
fsync = on
full_page_writes = on
shared_buffers = 128MB
`;

/** So that a session of one gateway is one of the others. */
const SESSION_KEYS = `bench:${'0123456789abcdef'.repeat(4)}`;

/** Where clients connect to, and whose CPU time and memory count. @typedef {{port: number, pid: number, speak?: string}} Target */

export class System {
  /** Where Postgres keeps its data: its disk is part of what is measured. */
  folder = '';

  async start() {
    this.folder = await mkdtemp('/tmp/parley-bench-');
    this.postgres = await Postgres.start(this.folder);
    await this.postgres.stop();
    await appendFile(path.join(this.postgres.data, 'postgresql.auto.conf'), POSTGRES_IN_EARNEST);
    await this.postgres.start();
    await this.postgres.rows('CREATE DATABASE tutorial');
    this.tutorialUrl = `postgresql://parley@localhost/tutorial?host=${encodeURIComponent(this.folder)}`;

    this.nats = await startNats();
    this.store = new Store('store', { NATS_URL: this.nats.url, DATABASE_URL: this.postgres.url });
    await this.store.start();
  }

  async stop() {
    await this.store?.stop();
    await this.nats?.child.end();
    await this.postgres?.stop();
    this.remove();
  }

  /** Removes what is on disk, also when the processes are yet to die with this one. */
  remove() {
    if (this.folder) rmSync(this.folder, { recursive: true, force: true });
  }

  /** Forgets all rooms, and writes out what is dirty: every measurement of the store begins alike. No gateway may run. */
  async forget() {
    await this.postgres.rows('TRUNCATE messages, room_rows, room_epochs');
    await this.postgres.rows('CHECKPOINT');
  }

  /** Forgets what the tutorial's server has stored, and begins its ids anew. */
  async forgetTutorial() {
    const pool = Postgres.poolOf(this.tutorialUrl);
    await pool.query('DROP TABLE IF EXISTS messages');
    await pool.end();
  }

  /** Processes besides the servers whose CPU time is told. */
  get watched() {
    return { store: this.store.child.pid, postgres: this.postgres.child.pid, nats: this.nats.child.pid };
  }

  /**
   * A gateway, just started.
   *
   * @param {Record<string, string>} [env] settings that are not its defaults
   */
  async startGateway(env = {}) {
    const gateway = new Gateway('gateway', { NATS_URL: this.nats.url, SESSION_KEYS, ...env });
    await gateway.start();
    return {
      port: gateway.port,
      pid: gateway.child.pid,
      child: gateway.child,
      gateway,
      stop: () => gateway.stop(),
    };
  }
}

export async function startNats() {
  const child = new Child('nats', 'nats-server', ['-a', '127.0.0.1', '-p', '-1']);
  const [, port] = await child.line(/Listening for client connections on 127\.0\.0\.1:(\d+)/);
  await child.line(/Server is ready/);
  return { child, url: `nats://127.0.0.1:${port}` };
}

/**
 * A bare server, just started.
 *
 * @param {Record<string, string | number>} options its own, without the dashes
 */
export async function startBare(options = {}) {
  const child = new Child('bare', path.join(BIN_DIR, 'parley-bare'), argumentsOf(options));
  const [, port] = await child.line(/^listening port=(\d+)/);
  return { port: Number(port), pid: child.pid, child, stop: () => child.end('SIGKILL') };
}

/** Runs one of the programs that measure. Returns what it tells, or fails with its sentence. */
export async function tell(program, args, onStarted = async () => {}) {
  const child = new Child(program, path.join(BIN_DIR, program), args);
  child.isEndExpected = true;
  await onStarted(child);
  const { code } = await child.exited;
  if (code !== 0) throw new Error(child.text('err').trim() || `${program} ended: ${child.ending()}`);
  return JSON.parse(child.text('out').trim().split('\n').at(-1));
}

/** {members: 10, 'server-pid': 7} as --members 10 --server-pid 7; of an array, the option is repeated. */
export function argumentsOf(options) {
  return Object.entries(options).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).flatMap((each) => [`--${name}`, String(each)]),
  );
}
