/**
 * Instructions under callgrind. Each is the difference of two runs, a short one and a long one, divided by how much more the
 * long one did: what a start, an end and the first message take cancels out. Started by bench/instructions.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import path from 'node:path';
import { Child } from '../tests/integration/harness/child.mjs';
import { BIN_DIR, ROOT, Store, UNLIMITED } from '../tests/integration/harness/parley.mjs';
import { Postgres } from '../tests/integration/harness/postgres.mjs';
import { eventually } from '../tests/integration/harness/wait.mjs';
import { argumentsOf, startNats, tell } from './system.mjs';

const RECORD = new URL('instructions.json', import.meta.url);

/** A program under valgrind is this much slower, and then some. */
const PATIENCE_MS = 60_000;

const MEMBERS = 1000; // so that the message itself hardly counts
const RETURNS_MISSED = 20;

/**
 * `load`: what parley-load or parley-store-load does `n` times; `each`: how many of what is counted that is; `tolerance`: how
 * much the rest varies with how a machine that has other things to do cuts it into turns of the loop.
 */
const COUNTS = [
  {
    name: 'gateway: delivery of a message of 128 bytes to one of 1,000 members',
    program: 'parley-gateway',
    sizes: [20, 620],
    each: MEMBERS,
    tolerance: 0.1,
    load: (n) => ['fanout', { members: MEMBERS, messages: n }],
  },
  {
    name: 'gateway: message from its emit to its acknowledgement',
    program: 'parley-gateway',
    sizes: [100, 2100],
    each: 1,
    tolerance: 0.06,
    load: (n) => ['ack', { members: 1, messages: n }],
  },
  {
    name: `gateway: member that joins, leaves, and comes back for ${RETURNS_MISSED} messages`,
    program: 'parley-gateway',
    sizes: [50, 350],
    each: 1,
    tolerance: 0.25, // the log drops lines of what happens too often in a second, and so depends on how fast it goes
    load: (n) => ['recovery', { members: n + 1, missed: RETURNS_MISSED }],
  },
  {
    name: 'store-service: append of one message',
    program: 'parley-store',
    sizes: [100, 4100],
    each: 1,
    tolerance: 0.06,
    load: (n) => [null, { gateways: 1, batch: 1, messages: n }],
  },
  {
    name: 'store-service: message in an append of 100',
    program: 'parley-store',
    sizes: [1000, 21_000],
    each: 1,
    tolerance: 0.06,
    load: (n) => [null, { gateways: 1, batch: 100, messages: n }],
  },
];

/**
 * What depends on what else runs is not counted: nats.c tries a lock many times before it waits for it, and a gateway that is
 * ended soon stops compressing its files.
 */
const NOT_COUNTED = /:(pthread_mutex_trylock|natsMutex_Lock)\b|\/libz\.so/;

/** Instructions of a run that has ended, as callgrind wrote them. */
function countIn(file) {
  const text = execFileSync('callgrind_annotate', ['--threshold=100', file], { encoding: 'utf8', maxBuffer: 1 << 28 });
  let count = NaN;
  for (const line of text.split('\n')) {
    const [, number, name] = line.match(/^ *([0-9,]+) \([0-9. ]+%\) +(.*)/) ?? [];
    if (name === undefined) continue;
    const instructions = Number(number.replaceAll(',', ''));
    if (name.startsWith('PROGRAM TOTALS')) count = instructions;
    else if (NOT_COUNTED.test(name)) count -= instructions;
  }
  if (Number.isNaN(count)) throw new Error(`callgrind_annotate told nothing of ${file}`);
  return count;
}

class Counted {
  /** Starts a program under callgrind, and waits until it is ready. */
  static async start(program, folder, env) {
    const counted = new Counted();
    counted.file = path.join(folder, 'callgrind.out');
    const args = ['--tool=callgrind', `--callgrind-out-file=${counted.file}`];
    counted.child = new Child(program, 'valgrind', [...args, path.join(BIN_DIR, program)], {
      cwd: ROOT,
      env: { ADMIN_PORT: '0', ...env },
    });
    const isGateway = program === 'parley-gateway';
    const portOf = async (pattern) => Number((await counted.child.line(pattern, PATIENCE_MS))[1]);
    const admin = await portOf(isGateway ? /^event=admin_listening .* port=(\d+)/ : /^event=started .* admin_port=(\d+)/);
    if (isGateway) counted.port = await portOf(/^event=listening .* port=(\d+)/);
    const isReady = async () => (await fetch(`http://127.0.0.1:${admin}/readyz`)).ok;
    await eventually(isReady, `${program} under valgrind to be ready`, PATIENCE_MS);
    return counted;
  }

  /** Ends it. Returns how many instructions it took. */
  async end() {
    await this.child.end('SIGTERM');
    return countIn(this.file);
  }
}

/** Of a gateway that nobody waits for: under valgrind it always seems to be overloaded. */
const GATEWAY = { PORT: '0', HOST: '127.0.0.1', DRAIN: '100ms', OVERLOAD_LAG: '1m' };

async function countOnce({ program, load }, n, system) {
  const env = { NATS_URL: system.nats.url };
  const [mode, options] = load(n);
  if (program === 'parley-gateway') {
    const gateway = await Counted.start(program, system.folder, { ...env, ...GATEWAY, ...UNLIMITED });
    await tell('parley-load', [mode, ...argumentsOf({ connect: `127.0.0.1:${gateway.port}`, ...options })]);
    return gateway.end();
  }
  // It alone must get the appends.
  await system.store.stop();
  const store = await Counted.start(program, system.folder, { ...env, DATABASE_URL: system.postgres.url });
  await tell('parley-store-load', argumentsOf({ nats: system.nats.url, ...options }));
  const count = await store.end();
  await system.store.start();
  return count;
}

async function countAll(system) {
  const counts = {};
  for (const count of COUNTS) {
    const [few, many] = count.sizes;
    const less = await countOnce(count, few, system);
    const more = await countOnce(count, many, system);
    counts[count.name] = Math.round((more - less) / ((many - few) * count.each));
  }
  return counts;
}

/** What the numbers depend on besides this checkout. */
function environment() {
  const version = (...args) => execFileSync('dpkg-query', ['-W', '-f', '${Package} ${Version} ', ...args], { encoding: 'utf8' });
  return `${process.arch}; ${version('gcc', 'libc6', 'libh2o-evloop-dev', 'libnats-dev', 'libpq5', 'libprotobuf-c1').trim()}`;
}

/** Prints a table. Returns whether nothing takes more than recorded. */
function compare(counts, record) {
  let isFine = true;
  for (const { name, tolerance } of COUNTS) {
    const count = counts[name];
    const before = record.instructions[name];
    const change = before === undefined ? NaN : count / before - 1;
    const says = Number.isNaN(change) ? 'not recorded' : `${change >= 0 ? '+' : ''}${(100 * change).toFixed(1)} %`;
    const isWorse = !(change <= tolerance);
    isFine &&= !isWorse;
    console.log(`${isWorse ? 'MORE' : '  ok'}  ${String(count).padStart(8)}  ${says.padStart(12)}  ${name}`);
  }
  return isFine;
}

const system = { folder: await mkdtemp('/tmp/parley-instructions-') };
let status = 0;
try {
  const about = environment();
  system.postgres = await Postgres.start(system.folder);
  system.nats = await startNats();
  system.store = new Store('store', { NATS_URL: system.nats.url, DATABASE_URL: system.postgres.url });
  await system.store.start();
  const counts = await countAll(system);
  const record = JSON.parse(readFileSync(RECORD, 'utf8'));
  const isFine = compare(counts, record);
  if (process.argv[2] === 'record') {
    writeFileSync(RECORD, JSON.stringify({ environment: about, instructions: counts }, null, 2) + '\n');
    console.log('Recorded in bench/instructions.json.');
  } else if (!isFine && about !== record.environment) {
    console.log(`Recorded with other libraries or another compiler, so this fails nothing:\n  ${record.environment}\n  ${about}`);
  } else if (!isFine) {
    console.error('That is more than recorded, and than varies. Where it is worth it: bench/instructions record');
    status = 1;
  }
} catch (error) {
  console.error(`Nothing is counted: ${error.message}`);
  status = 1;
} finally {
  await system.store?.stop();
  await system.nats?.child.end();
  await system.postgres?.stop();
  rmSync(system.folder, { recursive: true, force: true });
}
process.exit(status);
