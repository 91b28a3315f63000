/**
 * What is measured: Parley's processes with a Postgres and a NATS of their own, and the bare server. They are started
 * by the integration tests' harness, but as in earnest: Postgres keeps what it commits through a power failure, and
 * nothing stands between the programs.
 */
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { appendFile, mkdtemp } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { Child } from '../tests/integration/harness/child.mjs';
import { BIN_DIR, Gateway, Store } from '../tests/integration/harness/parley.mjs';
import { Postgres } from '../tests/integration/harness/postgres.mjs';

const run = promisify(execFile);

/** In place of what the tests cut from durability. */
export const POSTGRES_IN_EARNEST = `
fsync = on
full_page_writes = on
shared_buffers = 128MB
`;

export class System {
  /** Where Postgres keeps its data: its disk is part of what is measured. */
  folder = '';

  async start() {
    this.folder = await mkdtemp('/tmp/parley-bench-');
    this.postgres = await Postgres.start(this.folder);
    await this.postgres.stop();
    await appendFile(path.join(this.postgres.data, 'postgresql.auto.conf'), POSTGRES_IN_EARNEST);
    await this.postgres.start();

    this.nats = new Child('nats', 'nats-server', ['-a', '127.0.0.1', '-p', '-1']);
    const [, port] = await this.nats.line(/Listening for client connections on 127\.0\.0\.1:(\d+)/);
    await this.nats.line(/Server is ready/);
    this.natsUrl = `nats://127.0.0.1:${port}`;

    this.store = new Store('store', { NATS_URL: this.natsUrl, DATABASE_URL: this.postgres.url });
    await this.store.start();
  }

  async stop() {
    await this.store?.stop();
    await this.nats?.end();
    await this.postgres?.stop();
    this.remove();
  }

  /** Removes what is on disk, also when the processes are yet to die with this one. */
  remove() {
    if (this.folder) rmSync(this.folder, { recursive: true, force: true });
  }

  /**
   * Measures a gateway of its own, just started.
   *
   * @param {string[]} args of parley-load: the mode, and what differs from its defaults
   * @returns {Promise<object>} what parley-load tells
   */
  async measureGateway(args) {
    const gateway = new Gateway('gateway', { NATS_URL: this.natsUrl });
    await gateway.start();
    try {
      const others = { store: this.store.child.pid, postgres: this.postgres.child.pid, nats: this.nats.pid };
      const watched = Object.entries(others).flatMap(([name, pid]) => ['--watch', `${name}=${pid}`]);
      return await load(args, gateway.port, gateway.child.pid, watched);
    } finally {
      await gateway.stop();
    }
  }

  /** Measures the bare server, which sends packets of the given length. */
  async measureBare(args, packetBytes) {
    const bare = new Child('bare', path.join(BIN_DIR, 'parley-bare'), ['0', String(packetBytes)]);
    const [, port] = await bare.line(/^listening port=(\d+)/);
    try {
      return await load(args, port, bare.pid, []);
    } finally {
      await bare.end('SIGKILL');
    }
  }
}

/** @returns {Promise<object>} what parley-load tells; rejects with its sentence when anything was not in order */
async function load([mode, ...args], port, pid, more) {
  const all = [mode, '--connect', `127.0.0.1:${port}`, '--server-pid', String(pid), ...more, ...args];
  const { stdout } = await run(path.join(BIN_DIR, 'parley-load'), all).catch((error) => {
    throw new Error(error.stderr?.trim() || error.message, { cause: error });
  });
  return JSON.parse(stdout);
}

/** The machine, the programs and how they were run, as lines of Markdown. */
export async function describe(folder) {
  const first = async (program, ...args) => {
    const { stdout, stderr } = await run(program, args).catch(() => ({ stdout: 'unknown', stderr: '' }));
    return (stdout || stderr).trim().split('\n')[0];
  };
  const postgres = path.join(process.env.PARLEY_POSTGRES_BIN ?? '/usr/lib/postgresql/15/bin', 'postgres');
  const [cpu, cores, kernel, memory, disk, commit, changes, ...versions] = await Promise.all([
    first('sed', '-n', 's/^model name[^:]*: //p', '/proc/cpuinfo'),
    first('nproc'),
    first('uname', '-sr'),
    first('awk', '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }', '/proc/meminfo'),
    first('findmnt', '-no', 'FSTYPE', '-T', folder),
    first('git', 'rev-parse', '--short', 'HEAD'),
    first('git', 'status', '--porcelain', '--', 'base', 'proto', 'gateway', 'store-service', 'bench/*.c'),
    first(postgres, '--version'),
    first('nats-server', '--version'),
    first('dpkg-query', '-W', '-f', 'libh2o-evloop ${Version}', 'libh2o-evloop-dev'),
    first('dpkg-query', '-W', '-f', 'nats.c ${Version}', 'libnats-dev'),
    first('gcc', '--version'),
  ]);
  const build = process.env.PARLEY_BIN_DIR ? 'programs of PARLEY_BIN_DIR, whatever they are' : 'release build';
  return [
    `- Machine: ${cpu}, ${cores} cores, ${memory}, ${kernel}; Postgres's data on ${disk}`,
    `- Parley: ${commit}${changes ? ' with uncommitted changes' : ''}, ${build}; one gateway, one store-service, default settings`,
    `- Versions: ${versions.join('; ')}`,
    process.env.BENCH_NETWORK === 'fresh'
      ? '- Network: loopback of a fresh network namespace, without connection tracking'
      : '- Network: this machine\'s loopback; its firewall rules, if any, cost something',
  ];
}
