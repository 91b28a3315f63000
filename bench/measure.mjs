/** Measures the parts that are asked for, and writes results/<date>.md. Started by bench/run. */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { Bench } from './bench.mjs';
import { describe, watchMachine } from './machine.mjs';
import { goalsTable, report } from './report.mjs';
import { System } from './system.mjs';

/** In the order in which they are measured; the first ones are what `make bench-quick` measures. */
const QUICK = ['fanout', 'acks', 'store', 'latency', 'start'];
const PARTS = [...QUICK, 'idle', 'recovery', 'growth', 'peers'];

/** Where results go: where others lie, unless said otherwise. */
const RESULTS = process.env.BENCH_RESULTS || 'bench/results';

function fail(sentence) {
  console.error(sentence);
  process.exit(2);
}

function numberFrom(variable, otherwise, min, max) {
  const value = Number(process.env[variable] || otherwise);
  if (value >= min && value <= max) return value;
  return fail(`${variable} is "${process.env[variable]}", but must be a number from ${min} to ${max}.`);
}

/** The parts of PARTS, separated by commas. */
function partsAskedFor() {
  if (process.env.PARTS === 'quick') return QUICK;
  const names = process.env.PARTS ? process.env.PARTS.split(',') : PARTS;
  const unknown = names.find((name) => !PARTS.includes(name));
  if (unknown !== undefined) fail(`PARTS has "${unknown}", but may have ${PARTS.join(', ')}, or be quick.`);
  return names;
}

/** Today's date, with a number behind it where there is a result already: what somebody may have cited stays as it is. */
function freeName() {
  const date = new Date().toISOString().slice(0, 10);
  let name = date;
  for (let i = 2; existsSync(`${RESULTS}/${name}.md`); i++) name = `${date}-${i}`;
  return name;
}

/** A part that fails says so in the report, and the others go on. */
async function measureAll(bench, names) {
  const parts = [];
  for (const name of names) {
    const began = Date.now();
    const { default: part } = await import(`./parts/${name}.mjs`);
    try {
      parts.push(await part.measure(bench));
      console.log(`${name}: ${((Date.now() - began) / 1000).toFixed(0)} s`);
    } catch (error) {
      const why = `${name} is not measured: ${error.message}`;
      console.error(why);
      parts.push({ goals: [], text: [`**${why}**`], hasFailed: true });
    }
  }
  return parts;
}

const names = partsAskedFor();
const rounds = numberFrom('BENCH_ROUNDS', 9, 1, 99);
const seconds = numberFrom('BENCH_SECONDS', 2, 0.5, 600);
const system = new System();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(signal, () => {
    system.remove();
    process.exit(1);
  });
const quiet = watchMachine();
let status = 0;
try {
  await system.start();
  const bench = new Bench(system, { rounds, seconds });
  const parts = await measureAll(bench, names);
  const command = `PARTS=${names.join(',')} BENCH_ROUNDS=${rounds} BENCH_SECONDS=${seconds} make bench`;
  const name = freeName();
  const about = [...(await describe(system.folder)), quiet()];
  await mkdir(RESULTS, { recursive: true });
  await writeFile(`${RESULTS}/${name}.md`, report(name, command, about, parts));
  await writeFile(`${RESULTS}/${name}.jsonl`, bench.runs.map((run) => JSON.stringify(run) + '\n').join(''));
  if (parts.some(({ hasFailed }) => hasFailed)) status = 1;
  const goals = parts.flatMap((part) => part.goals);
  console.log(['', ...goalsTable(goals), '', `Written to ${RESULTS}/${name}.md`].join('\n'));
} catch (error) {
  console.error(`Nothing is measured: ${error.message}`);
  status = 1;
} finally {
  await system.stop().catch(() => system.remove());
}
process.exit(status);
