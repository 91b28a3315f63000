/** Deliveries: what a gateway needs to hand a message to each member, against the bare server. */
import { goal, told } from '../bench.mjs';
import { median } from '../statistics.mjs';
import { table } from '../report.mjs';
import { startNats } from '../system.mjs';

const MEMBERS = 1000;
/** Of messages of 128 bytes, until a gateway has said it. */
const PACKET_BYTES = 260;

const SHAPES = [
  {
    name: 'one message',
    options: { members: MEMBERS, senders: 1, window: 1 },
    goal: { name: 'deliveries per gateway CPU s, one message at a time, 1,000 members', atLeast: 0.95 },
  },
  {
    name: '16 of one sender',
    options: { members: MEMBERS, senders: 1, window: 16 },
    goal: { name: 'the same, 16 in flight', atLeast: 0.85 },
  },
  {
    name: 'one of each of 16 senders',
    options: { members: MEMBERS, senders: 16, window: 1 },
    goal: { name: 'the same, 16 publishers', atLeast: 0.85 },
  },
  {
    name: 'one of each of 10 senders, 10 rooms × 100 members',
    options: { members: MEMBERS, senders: 10, window: 1, rooms: 10 },
    goal: { name: 'the same, 10 rooms × 100 members', atLeast: 0.95 },
  },
];

/** Messages a second, so few that none waits for another one. */
const STEADY_RATE = 40;

const perCpu = (run) => run.deliveries_per_server_cpu_s;

async function measureShape(bench, { name, options }) {
  const all = { ...options, ...bench.timed };
  let packet = PACKET_BYTES;
  return bench.pairs(
    async () => {
      const run = await bench.gateway(name, 'fanout', all);
      packet = Math.round(run.packet_bytes);
      return run;
    },
    () => bench.bare(name, 'fanout', all, { packet }),
  );
}

/** What the bare server would do if it joined nothing: one write for each message and member. */
async function measureUnjoined(bench) {
  const { name, options } = SHAPES[1];
  const all = { ...options, ...bench.timed };
  return bench.times(
    () => bench.bare(`${name}, not joined`, 'fanout', all, { packet: PACKET_BYTES, joined: 'off' }),
    Math.min(bench.rounds, 3),
  );
}

/**
 * One message at a time, at the same rate from the same kind of clock for both. In a window the bare server answers at once
 * and the gateway after a commit: so the load generator sleeps more often when the gateway writes, and to wake it is charged
 * to the gateway.
 */
async function measureSteady(bench) {
  const nats = await startNats();
  const options = { members: MEMBERS, rate: STEADY_RATE, ...bench.timed };
  try {
    return await bench.pairs(
      () => bench.gateway('steady', 'deliver', { ...options, nats: nats.url }, { NATS_URL: nats.url }),
      () => bench.bare('steady', 'deliver', options, { packet: PACKET_BYTES }),
      Math.min(bench.rounds, 3),
    );
  } finally {
    await nats.child.end();
  }
}

export default {
  name: 'fanout',
  async measure(bench) {
    const shapes = [];
    for (const shape of SHAPES) shapes.push({ ...shape, pairs: await measureShape(bench, shape) });
    const unjoined = await measureUnjoined(bench);
    const steady = await measureSteady(bench);
    const rows = shapes.map(({ name, pairs }) => {
      const parley = pairs.map(([run]) => run);
      return [
        name,
        told(parley.map((run) => run.deliveries_per_s), 0),
        told(parley.map(perCpu), 0),
        told(pairs.map(([, bare]) => perCpu(bare)), 0),
        told(pairs.map(([run, bare]) => perCpu(run) / perCpu(bare))),
        median(parley.map((run) => run.latency_ms.p50)).toFixed(1),
        median(parley.map((run) => run.latency_ms.p99)).toFixed(1),
        median(parley.map((run) => run.load_cpu_us_per_delivery)).toFixed(2),
      ];
    });
    return {
      goals: shapes.map(({ goal: { name, atLeast }, pairs }) =>
        goal(
          name,
          pairs.map(([run, bare]) => perCpu(run) / perCpu(bare)),
          { atLeast, of: '× the bare server' },
        ),
      ),
      text: [
        '## Fan-out',
        '',
        `Deliveries of messages of 128 bytes to ${MEMBERS.toLocaleString('en-US')} members. A message is in flight until the last`,
        'member of its room has it; p50 and p99 are that time. "Bare" is `parley-bare`, the least a server can do, which joins',
        'what one turn of its loop publishes into one write for each member. The load generator runs beside it; what it needs',
        'for a delivery is in the last column.',
        '',
        ...table(
          ['in flight', 'deliveries/s', 'per gateway CPU s', 'per bare CPU s', 'ratio', 'p50 ms', 'p99 ms', 'load µs'],
          rows,
        ),
        '',
        `A bare server that joins nothing does ${told(unjoined.map(perCpu), 0)} deliveries for each CPU second with 16 of one`,
        'sender in flight.',
        '',
        `At a steady ${STEADY_RATE} messages a second, published as by a store-service, none waiting for another one: ratio`,
        `${told(steady.map(([run, bare]) => perCpu(run) / perCpu(bare)))}.`,
      ],
    };
  },
};
