/** From emit to acknowledgement in an idle system, and from a commit to its delivery in a busy one. */
import { goal, told } from '../bench.mjs';
import { table } from '../report.mjs';
import { argumentsOf, startNats, tell } from '../system.mjs';

const MEMBERS = 1000;
const PACKET_BYTES = 260;

async function measureAcks(bench) {
  const timed = { ...bench.timed, seconds: Math.max(bench.seconds, 2) };
  return bench.pairs(
    () => bench.gateway('1 × 1 in flight, alone', 'ack', { members: 1, ...timed }),
    () =>
      bench.keep(
        'single insert',
        tell('parley-pg-load', ['single', ...argumentsOf({ database: bench.system.postgres.url, ...timed })]),
      ),
  );
}

/** Messages a second when as many are in flight as make the gateway join them. */
async function saturation(bench) {
  const options = { members: MEMBERS, window: 16, ...bench.timed };
  const { messages_per_s: rate } = await bench.gateway('saturation', 'fanout', options);
  return rate;
}

/** Deliveries at a steady rate. What is published stands for what was just committed; nobody stores anything meanwhile. */
async function measureDeliveries(bench, rate) {
  const nats = await startNats();
  const options = { members: MEMBERS, rate, ...bench.timed };
  try {
    return await bench.pairs(
      () => bench.gateway(`deliver, ${rate}/s`, 'deliver', { ...options, nats: nats.url }, { NATS_URL: nats.url }),
      () => bench.bare(`deliver, ${rate}/s`, 'deliver', options, { packet: PACKET_BYTES }),
    );
  } finally {
    await nats.child.end();
  }
}

export default {
  name: 'latency',
  async measure(bench) {
    const acks = await measureAcks(bench);
    const rate = Math.max(1, Math.round((await saturation(bench)) / 2));
    const deliveries = await measureDeliveries(bench, rate);
    const ratio = (pairs, of, at) => pairs.map(([a, b]) => of(a)[at] / of(b)[at]);
    const ms = (run) => run.latency_ms ?? run.insert_ms ?? run.delivery_ms;
    const row = (name, pairs, at) => [
      `${name}, ${at}`,
      told(pairs.map(([a]) => ms(a)[at])),
      told(pairs.map(([, b]) => ms(b)[at])),
      told(ratio(pairs, ms, at)),
    ];
    return {
      goals: [
        goal('emit → acknowledgement, 1 sender, idle system, p50', ratio(acks, ms, 'p50'), {
          atMost: 2.5,
          of: '× a single-row insert',
        }),
        goal('emit → acknowledgement, p99', ratio(acks, ms, 'p99'), { atMost: 3, of: "× that insert's p99" }),
        goal('commit → delivery at half of saturation, p99', ratio(deliveries, ms, 'p99'), {
          atMost: 1.3,
          of: "× the bare server's delivery",
        }),
      ],
      text: [
        '## Latency',
        '',
        'The yardstick of an acknowledgement is one committed single-row INSERT by libpq, prepared, in the same table with the',
        `same indexes. For deliveries, ${rate.toLocaleString('en-US')} messages a second to ${MEMBERS.toLocaleString('en-US')} members, half of what`,
        'the gateway does with 16 in flight: published on NATS as by a store-service that has just committed them, or emitted to',
        'the bare server; late by the time they were due.',
        '',
        ...table(
          ['ms', 'Parley', 'yardstick', 'ratio'],
          [
            row('emit → acknowledgement', acks, 'p50'),
            row('emit → acknowledgement', acks, 'p99'),
            row('commit → delivery', deliveries, 'p50'),
            row('commit → delivery', deliveries, 'p99'),
          ],
        ),
      ],
    };
  },
};
