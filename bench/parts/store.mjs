/** The store-service alone, asked as four gateways do, against what Postgres does with the same rows. */
import { goal, told } from '../bench.mjs';
import { table } from '../report.mjs';
import { argumentsOf, tell } from '../system.mjs';

/**
 * 4,000 messages are in flight in both: each gateway has one append in flight in each room. As many connections insert as
 * lanes write: rooms hash to one of two.
 */
const SHAPES = [
  { name: '1 room, 4 appends of 1,000', load: { rooms: 1, batch: 1000 }, postgres: { connections: 1, rooms: 1 } },
  { name: '1,000 rooms, 4,000 appends of 1', load: { rooms: 1000, batch: 1 }, postgres: { connections: 2, rooms: 500 } },
];

async function measureStore(bench, name, options) {
  const { system } = bench;
  await system.forget();
  const { store, ...others } = system.watched;
  const watch = Object.entries(others).map(([other, pid]) => `${other}=${pid}`);
  const all = { nats: system.nats.url, 'server-pid': store, watch, ...options };
  return bench.keep(`store: ${name}`, tell('parley-store-load', argumentsOf(all)));
}

async function measurePostgres(bench, name, options) {
  const { system } = bench;
  await system.forget();
  const all = { database: system.postgres.url, rows: 1000, ...options };
  return bench.keep(`unnest: ${name}`, tell('parley-pg-load', ['unnest', ...argumentsOf(all)]));
}

export default {
  name: 'store',
  async measure(bench) {
    const goals = [];
    const rows = [];
    for (const { name, load, postgres } of SHAPES) {
      const pairs = await bench.pairs(
        () => measureStore(bench, name, { ...load, ...bench.timed }),
        () => measurePostgres(bench, name, { ...postgres, ...bench.timed }),
      );
      const ratios = pairs.map(([store, unnest]) => store.messages_per_s / unnest.messages_per_s);
      goals.push(
        goal(`store-service alone, 4 gateways, ${name.split(',', 1)[0] === '1' ? '1,000 rooms' : '1 room'}`, ratios, {
          atLeast: 0.6,
          of: '× unnest inserts of 1,000',
        }),
      );
      rows.push([
        name,
        told(pairs.map(([store]) => store.messages_per_s), 0),
        told(pairs.map(([, unnest]) => unnest.messages_per_s), 0),
        told(ratios),
        told(pairs.map(([store]) => store.append_ms.p50)),
        told(pairs.map(([store]) => store.append_ms.p99)),
        told(pairs.map(([store]) => (store.server_cpu_s * 1e6) / store.messages)),
      ]);
    }
    return {
      goals,
      text: [
        '## The store-service alone',
        '',
        '`parley-store-load` speaks the contract over NATS as four gateways do. The yardstick is `parley-pg-load unnest`: 1,000',
        'rows in each INSERT and transaction, into a table with the same columns and indexes, nothing checked or numbered.',
        '',
        ...table(
          ['appends', 'messages/s', 'unnest rows/s', 'ratio', 'append p50 ms', 'append p99 ms', 'store CPU µs a message'],
          rows,
        ),
      ],
    };
  },
};
