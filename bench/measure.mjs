/** Measures everything, several rounds in turn, and writes bench/results/<date>.md. Started by bench/run. */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { ackTable, fanoutTable, idleTable } from './report.mjs';
import { System, describe } from './system.mjs';

const ROUNDS = numberFrom('BENCH_ROUNDS', 3, 1, 99);
const SECONDS = numberFrom('BENCH_SECONDS', 2.5, 0.5, 600);
const WARMUP_SECONDS = 0.5;
const MEMBERS = 1000;
const IDLE_MEMBERS = 5000;
const PING_INTERVAL_SECONDS = 25; // the gateway's default
const RESULTS = 'bench/results';

const FANOUTS = new Map([
  ['one message', ['--senders', '1', '--window', '1']],
  ['16 of one sender', ['--senders', '1', '--window', '16']],
  ['one of each of 16 senders', ['--senders', '16', '--window', '1']],
]);

const ACKS = new Map([
  ['1 × 1 in flight, alone', ['--members', '1']],
  ['100 × 1, all get everything', ['--members', '100']],
  ['100 × 8, all get everything', ['--members', '100', '--window', '8']],
  ['100 × 1, a room each, no echo', ['--members', '100', '--rooms', '100', '--echo', 'off']],
]);

function numberFrom(variable, otherwise, min, max) {
  const value = Number(process.env[variable] || otherwise);
  if (value >= min && value <= max) return value;
  console.error(`${variable} is "${process.env[variable]}", but must be a number from ${min} to ${max}.`);
  process.exit(2);
}

/** Every run with its figures, as it is kept beside the report. */
const log = [];

async function told(what, measurement) {
  const figures = await measurement.catch((error) => {
    throw new Error(`${what}: ${error.message}`, { cause: error });
  });
  log.push({ what, ...figures });
  return figures;
}

/** CPU time of the machine since it began, in ticks: all of it, and what its host gave to others (see proc(5)). */
function machineTicks() {
  const [, ...ticks] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0].split(/\s+/).map(Number);
  return { all: ticks.slice(0, 8).reduce((sum, value) => sum + value, 0), stolen: ticks[7] };
}

/** Appends to the list of a key. */
function keep(map, key, value) {
  map.set(key, [...(map.get(key) ?? []), value]);
}

async function measureAll(system) {
  const timed = ['--warmup', String(WARMUP_SECONDS), '--seconds', String(SECONDS)];
  const result = { fanouts: new Map(), acks: new Map(), idles: [], heartbeat: null };
  for (let round = 1; round <= ROUNDS; round++) {
    console.log(`Round ${round} of ${ROUNDS}`);
    for (const [name, shape] of FANOUTS) {
      const args = ['fanout', '--members', String(MEMBERS), ...shape, ...timed];
      const parley = await told(`parley: ${name}`, system.measureGateway(args));
      const bare = await told(`bare: ${name}`, system.measureBare(args, Math.round(parley.packet_bytes)));
      keep(result.fanouts, name, { parley, bare });
    }
    for (const [name, shape] of ACKS)
      keep(result.acks, name, await told(`parley: ${name}`, system.measureGateway(['ack', ...shape, ...timed])));
    const idle = ['idle', '--members', String(IDLE_MEMBERS), '--warmup', '2', '--seconds', '1'];
    result.idles.push(await told('parley: idle', system.measureGateway(idle)));
  }
  console.log('Heartbeats');
  const idle = ['idle', '--members', String(IDLE_MEMBERS), '--warmup', '2', '--seconds', String(PING_INTERVAL_SECONDS)];
  result.heartbeat = await told('parley: heartbeats', system.measureGateway(idle));
  return result;
}

function write(result, about) {
  const figures = [
    '## Fan-out',
    '',
    `Deliveries of messages of 128 bytes to ${MEMBERS.toLocaleString('en-US')} members of one room. A message is in`,
    'flight until the last member has it; p50 and p99 are that time. "Bare" is `parley-bare`, the least a server can do.',
    '',
    ...fanoutTable(result.fanouts),
    '',
    '## Acknowledgements',
    '',
    'A message is acknowledged when Postgres has committed it (`synchronous_commit` and `fsync` on). Shares of one core.',
    '',
    ...ackTable(result.acks),
    '',
    '## Idle connections',
    '',
    'Joined to one room, recoverable, silent but for heartbeats.',
    '',
    ...idleTable(result.idles, result.heartbeat),
    '',
  ];
  const date = new Date().toISOString().slice(0, 10);
  let name = date;
  // What somebody may have cited stays as it is.
  for (let i = 2; existsSync(`${RESULTS}/${name}.md`); i++) name = `${date}-${i}`;
  const head = [
    `# Figures of ${name}`,
    '',
    `By \`BENCH_ROUNDS=${ROUNDS} BENCH_SECONDS=${SECONDS} make bench\`: medians of ${ROUNDS} rounds, in brackets the lowest and the`,
    `highest. How it is measured, and what it does not say: [README](../README.md). Every run: [${name}.jsonl](${name}.jsonl).`,
    '',
    ...about,
    '',
  ];
  return { name, text: [...head, ...figures].join('\n'), figures: figures.join('\n') };
}

const system = new System();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(signal, () => {
    system.remove();
    process.exit(1);
  });
const [loadBefore] = loadavg();
const before = machineTicks();
let status = 0;
try {
  await system.start();
  const result = await measureAll(system);
  const after = machineTicks();
  const stolen = (100 * (after.stolen - before.stolen)) / (after.all - before.all);
  const quiet = `- Load average before: ${loadBefore.toFixed(2)}; CPU time that the host gave to others meanwhile: ${stolen.toFixed(1)} %`;
  const { name, text, figures } = write(result, [...(await describe(system.folder)), quiet]);
  await mkdir(RESULTS, { recursive: true });
  await writeFile(`${RESULTS}/${name}.md`, text);
  await writeFile(`${RESULTS}/${name}.jsonl`, log.map((run) => JSON.stringify(run) + '\n').join(''));
  console.log(`\n${figures}\nWritten to ${RESULTS}/${name}.md`);
} catch (error) {
  console.error(`Nothing is measured: ${error.message}`);
  status = 1;
} finally {
  await system.stop().catch(() => system.remove());
}
process.exit(status);
