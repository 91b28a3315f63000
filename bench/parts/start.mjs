/** How long the programs take until they are ready. */
import { goal, told } from '../bench.mjs';
import { table } from '../report.mjs';
import { Gateway, Store } from '../../tests/integration/harness/parley.mjs';

/** ms from the start of a process until its /readyz says yes. */
async function timeStart(program) {
  const began = performance.now();
  await program.launch();
  while (!(await fetch(`${program.adminUrl}/readyz`)).ok);
  const ms = performance.now() - began;
  await program.stop();
  return ms;
}

export default {
  name: 'start',
  async measure(bench) {
    const { system } = bench;
    const starts = async (what, make) => {
      // The first one warms up the page cache, and what fetch() loads.
      const runs = await bench.times(async () => ({ ready_ms: await timeStart(make()) }), bench.rounds + 1);
      for (const run of runs) await bench.keep(`start: ${what}`, Promise.resolve(run));
      return runs.slice(1).map((run) => run.ready_ms);
    };
    const gateway = await starts('gateway', () => new Gateway('gateway', { NATS_URL: system.nats.url }));
    const store = await starts(
      'store-service',
      () => new Store('store-2', { NATS_URL: system.nats.url, DATABASE_URL: system.postgres.url }),
    );
    return {
      goals: [
        goal('start: gateway ready', gateway, { atMost: 50, of: 'ms', digits: 0 }),
        goal('start: store-service ready, its schema up to date', store, { atMost: 200, of: 'ms', digits: 0 }),
      ],
      text: [
        '## Start',
        '',
        ...table(
          ['ms from the start of the process until /readyz says yes', ''],
          [
            ['gateway', told(gateway, 1)],
            ['store-service', told(store, 1)],
          ],
        ),
      ],
    };
  },
};
