/**
 * What it costs to know who is here, in a room of 10,000 where people come and go.
 *
 *     node bench/presence.mjs [members] [joins a second] [seconds]
 *
 * The same room, with the same people who come and go, where nobody asks who is here and where all do; on one gateway and
 * on two. One more comes and goes every second, so that each second has news. Prints CPU of the gateways and of NATS, and
 * what members and gateways were told.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Load } from '../tests/integration/harness/load.mjs';
import { metric } from '../tests/integration/harness/memory.mjs';
import { someoneIn } from '../tests/integration/harness/person.mjs';
import { freshRoom, Stack } from '../tests/integration/harness/stack.mjs';

const [members = 10_000, joins = 20, seconds = 20] = process.argv.slice(2).map(Number);

/** Sum of a counter over all gateways. */
async function count(stack, name) {
  const texts = await Promise.all(stack.gateways.map((gateway) => gateway.metrics()));
  return texts.reduce((sum, text) => sum + metric(text, name), 0);
}

/** Comes and goes until it is told to stop. */
async function comeAndGo(url, room, visits) {
  while (!visits.isOver) {
    const visitor = await someoneIn({ after: () => {} }, url, { room });
    await sleep(1000);
    visitor.goHome();
    await sleep(1000);
  }
}

async function measure(gateways, presence) {
  const stack = new Stack();
  try {
    await stack.start({ gateways, gatewayEnv: { PING_INTERVAL: '1h' } });
    const prefix = freshRoom().replace('-', '');
    const visits = { isOver: false };
    const visiting = comeAndGo(stack.gateways[0].url, `${prefix}-0`, visits);
    const pids = stack.gateways.map(({ child }) => child.pid).join(',');
    const load = new Load(stack, 'churn', {
      connect: stack.gateways,
      room: prefix,
      members,
      joins,
      presence,
      warmup: 5,
      seconds,
      'server-pid': pids,
      watch: `nats=${stack.nats.child.pid}`,
    });
    const run = await load.result(120_000 + seconds * 1000);
    const announced = await count(stack, 'parley_presence_announced_total');
    visits.isOver = true;
    await visiting;
    return { ...run, announced };
  } finally {
    await stack.stop();
  }
}

const percent = (part, whole) => ((100 * part) / whole).toFixed(1);

console.log('gateways  presence  gateway CPU %  of NATS %  joins/s  events/s  KB/s to members  messages between gateways');
for (const gateways of [1, 2]) {
  for (const presence of ['off', 'on']) {
    const run = await measure(gateways, presence);
    const columns = [
      String(gateways).padStart(8),
      presence.padStart(8),
      percent(run.server_cpu_s, run.seconds).padStart(13),
      percent(run.watched_cpu_s.nats, run.seconds).padStart(9),
      run.joined_per_s.toFixed(1).padStart(7),
      (run.presence_events / run.seconds).toFixed(0).padStart(8),
      (run.presence_bytes / run.seconds / 1000).toFixed(0).padStart(15),
      String(run.announced).padStart(25),
    ];
    console.log(columns.join('  '));
  }
}
