/** Acknowledged messages: of the whole system against the tutorial's server, of a gateway against a bare echo. */
import { goal, told } from '../bench.mjs';
import { startTutorial } from '../peers/peers.mjs';
import { table } from '../report.mjs';
import { median } from '../statistics.mjs';

const SHAPES = [
  { name: '100 × 1, all get everything', options: { members: 100, window: 1 } },
  { name: '100 × 8, all get everything', options: { members: 100, window: 8 } },
];

/** Nothing is joined, and nobody else is there: what a message costs at most. */
const APART = { name: '100 × 1, a room each', options: { members: 100, window: 1, rooms: 100 } };

/** A message in, an acknowledgement out, and nothing else. */
const ECHO = { name: '100 × 8, a room each, no echo', options: { members: 100, window: 8, rooms: 100, echo: 'off' } };

async function tutorial(bench, name, options) {
  await bench.system.forgetTutorial();
  return bench.with(startTutorial(bench.system), (target) => bench.load(`tutorial: ${name}`, 'ack', options, target));
}

/** Share of one core that a process had, in percent. */
function busy(runs, secondsOf) {
  return median(runs.map((run) => (100 * secondsOf(run)) / run.seconds)).toFixed(0);
}

function row(name, runs) {
  return [
    name,
    told(runs.map((run) => run.messages_per_s), 0),
    told(runs.map((run) => run.latency_ms.p50)),
    told(runs.map((run) => run.latency_ms.p99)),
    busy(runs, (run) => run.server_cpu_s),
    busy(runs, (run) => run.watched_cpu_s.store),
    busy(runs, (run) => run.watched_cpu_s.postgres),
    busy(runs, (run) => run.watched_cpu_s.nats),
    busy(runs, (run) => run.load_cpu_s),
  ];
}

export default {
  name: 'acks',
  async measure(bench) {
    const goals = [];
    const rows = [];
    for (const { name, options } of SHAPES) {
      const all = { ...options, ...bench.timed };
      const pairs = await bench.pairs(
        () => bench.gateway(name, 'ack', all),
        () => tutorial(bench, name, all),
      );
      rows.push(row(`Parley: ${name}`, pairs.map(([run]) => run)));
      rows.push(row(`tutorial: ${name}`, pairs.map(([, run]) => run)));
      const inFlight = options.window === 1 ? '1 in flight' : `${options.window} in flight each`;
      goals.push(
        goal(
          `acknowledged messages a second, 100 senders who all receive everything, ${inFlight}`,
          pairs.map(([parley, other]) => parley.messages_per_s / other.messages_per_s),
          { atLeast: 10, of: "× the tutorial's server", digits: 1 },
        ),
      );
    }
    const apart = await bench.times(
      () => bench.gateway(APART.name, 'ack', { ...APART.options, ...bench.timed }),
      Math.min(bench.rounds, 3),
    );
    rows.push(row(`Parley: ${APART.name}`, apart));
    const all = { ...ECHO.options, ...bench.timed };
    const bare = (joined) => bench.bare(`${ECHO.name}, joined ${joined}`, 'ack', all, { echo: 'on', joined });
    // An echo in the sense of the goal reads a message and writes its answer; the other one is told beside it.
    const pairs = await bench.pairs(
      () => bench.gateway(ECHO.name, 'ack', all),
      () => bare('off'),
    );
    const joined = await bench.times(() => bare('on'), Math.min(bench.rounds, 3));
    rows.push(row(`Parley: ${ECHO.name}`, pairs.map(([run]) => run)));
    rows.push(row(`bare echo: ${ECHO.name}`, pairs.map(([, run]) => run)));
    rows.push(row('the same, which joins the answers to what it has read into one write', joined));
    goals.push(
      goal(
        'acknowledgements per gateway CPU s, 100 senders in rooms of their own, 8 in flight each',
        pairs.map(([parley, bare]) => parley.messages_per_server_cpu_s / bare.messages_per_server_cpu_s),
        { atLeast: 0.6, of: '× the bare echo' },
      ),
    );
    return {
      goals,
      text: [
        '## Acknowledgements',
        '',
        'A message is acknowledged when Postgres has committed it (`synchronous_commit` and `fsync` on; the bare echo stores',
        'nothing). Shares of one core.',
        '',
        ...table(
          ['senders × in flight', 'acknowledged/s', 'p50 ms', 'p99 ms', 'server %', 'store %', 'Postgres %', 'NATS %', 'load %'],
          rows,
        ),
      ],
    };
  },
};
