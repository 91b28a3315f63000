/**
 * Very many connections, all in one room, to several gateways; the same room, so that each message goes to all of them.
 * Prints Markdown. Started by bench/scale.
 */
import { loadavg } from 'node:os';
import { System, argumentsOf, tell } from './system.mjs';
import { table } from './report.mjs';

const CONNECTIONS = Number(process.env.BENCH_CONNECTIONS || 100_000);
const GATEWAY_MEMBERS = 14_000; // below what one takes by default
const PING_SECONDS = 25; // the gateways' default
const RATE = 1; // messages a second, and each goes to everybody
const SECONDS = 2 * PING_SECONDS;
const ROOM = 'scale';

if (!(CONNECTIONS >= 1 && CONNECTIONS <= 1_000_000)) {
  console.error(`BENCH_CONNECTIONS is "${process.env.BENCH_CONNECTIONS}", but must be a number from 1 to 1000000.`);
  process.exit(2);
}

/** One load generator for each gateway, as one process may open only so many sockets. */
function deliver(gateway, options) {
  const all = {
    connect: `127.0.0.1:${gateway.port}`,
    'server-pid': gateway.pid,
    room: ROOM,
    body: 128,
    ...options,
  };
  return tell('parley-load', ['deliver', ...argumentsOf(all)]);
}

/** Everybody connects and is silent; then again, and somebody speaks, when all had the time to join. */
async function measure(gateways) {
  const members = Math.ceil(CONNECTIONS / gateways.length);
  const settle = 10 + CONNECTIONS / 2000;
  const silent = await Promise.all(
    gateways.map((gateway) => deliver(gateway, { members, rate: 0, settle, seconds: PING_SECONDS })),
  );
  const loud = await Promise.all(
    gateways.map((gateway, i) => deliver(gateway, { members, rate: i === 0 ? RATE : 0, settle, seconds: SECONDS })),
  );
  return { members: members * gateways.length, silent, loud };
}

function sum(runs, of) {
  return runs.reduce((total, run) => total + of(run), 0);
}

/** Histograms of all generators, as one; their buckets are the same. */
function percentile(runs, share) {
  const buckets = new Map();
  for (const run of runs)
    for (const [ms, count] of run.delivery_ms.histogram) buckets.set(ms, (buckets.get(ms) ?? 0) + count);
  const sorted = [...buckets].sort(([a], [b]) => a - b);
  const wanted = share * sorted.reduce((total, [, count]) => total + count, 0);
  let seen = 0;
  for (const [ms, count] of sorted) {
    seen += count;
    if (seen >= wanted) return ms;
  }
  return NaN;
}

function print({ members, silent, loud }, gateways, load) {
  const grown = sum(silent, (run) => run.pss_after_bytes - run.pss_before_bytes);
  const beats = sum(silent, (run) => run.server_cpu_s) / (members / 1000) / (silent[0].seconds / 60);
  const deliveries = sum(loud, (run) => run.deliveries);
  const rows = [
    ['connections, all in one room', members.toLocaleString('en-US')],
    ['gateways', String(gateways.length)],
    ['PSS of a connection, bytes', (grown / members).toFixed(0)],
    ['heartbeats: CPU s for 1,000 connections a minute', beats.toFixed(4)],
    ['messages a second', String(RATE)],
    ['deliveries', deliveries.toLocaleString('en-US')],
    ['deliveries per gateway CPU s, heartbeats included', (deliveries / sum(loud, (run) => run.server_cpu_s)).toFixed(0)],
    ...[0.5, 0.99, 1].map((share) => [
      `${100 * share} % of the deliveries came within, ms`,
      percentile(loud, share).toFixed(0),
    ]),
  ];
  console.log([...table(['', 'figure'], rows), '', `Load average before: ${load.toFixed(2)}.`].join('\n'));
}

const system = new System();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(signal, () => {
    system.remove();
    process.exit(1);
  });
let status = 0;
const gateways = [];
try {
  const [load] = loadavg();
  await system.start();
  for (let i = 0; i < Math.ceil(CONNECTIONS / GATEWAY_MEMBERS); i++) gateways.push(await system.startGateway());
  print(await measure(gateways), gateways, load);
} catch (error) {
  console.error(`Nothing is measured: ${error.message}`);
  status = 1;
} finally {
  await Promise.all(gateways.map((gateway) => gateway.stop().catch(() => {})));
  await system.stop().catch(() => system.remove());
}
process.exit(status);
