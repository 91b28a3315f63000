/**
 * How many lanes should write, and how many messages should one transaction have?
 *
 *     node bench/lanes.mjs [seconds]     5 for each, if not told otherwise; needs a release build
 *
 * Appends of four gateways, as in parts/store.mjs, to a store-service with other settings each time. Prints Markdown.
 */
import { Store } from '../tests/integration/harness/parley.mjs';
import { table } from './report.mjs';
import { System, argumentsOf, tell } from './system.mjs';

const SECONDS = Number(process.argv[2] ?? 5);
const LANES = [1, 2, 4];
const MESSAGES_MAX = [250, 1000, 4000];
const SHAPES = [
  { name: '1 room, 4 appends of 1,000', options: { rooms: 1, batch: 1000 } },
  { name: '100 rooms, 400 appends of 10', options: { rooms: 100, batch: 10 } },
  { name: '1,000 rooms, 4,000 appends of 1', options: { rooms: 1000, batch: 1 } },
];

const system = new System();
try {
  await system.start();
  const rows = [];
  for (const lanes of LANES) {
    for (const messages of MESSAGES_MAX) {
      await system.store.stop();
      const env = { WRITE_LANES: String(lanes), TRANSACTION_MESSAGES_MAX: String(messages) };
      system.store = new Store('store', { NATS_URL: system.nats.url, DATABASE_URL: system.postgres.url, ...env });
      await system.store.start();
      const rates = [];
      for (const { options } of SHAPES) {
        await system.forget();
        const all = { nats: system.nats.url, 'server-pid': system.store.child.pid, seconds: SECONDS, ...options };
        rates.push(Math.round((await tell('parley-store-load', argumentsOf(all))).messages_per_s));
      }
      rows.push([String(lanes), String(messages), ...rates.map((rate) => rate.toLocaleString('en-US'))]);
    }
  }
  console.log(table(['lanes that write', 'messages in a transaction, at most', ...SHAPES.map(({ name }) => `${name}: messages/s`)], rows).join('\n'));
} finally {
  await system.stop();
}
process.exit(0);
