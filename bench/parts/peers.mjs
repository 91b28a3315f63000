/** Other servers in the same shapes. */
import { told } from '../bench.mjs';
import { startNchan, startSocketIo, startTutorial } from '../peers/peers.mjs';
import { table } from '../report.mjs';

const ROUNDS_MAX = 3;
const MEMBERS = 1000;
const IDLE_MEMBERS = 5000;

const PEERS = [
  { name: 'Parley', start: (system) => system.startGateway() },
  { name: 'Socket.IO', start: startSocketIo },
  {
    name: "Socket.IO, the tutorial's server with Postgres",
    start: async (system) => {
      await system.forgetTutorial();
      return startTutorial(system);
    },
  },
  { name: 'nginx with nchan', start: startNchan },
];

const SHAPES = [
  { name: 'one message', mode: 'fanout', options: { members: MEMBERS, window: 1 } },
  { name: '16 of one sender', mode: 'fanout', options: { members: MEMBERS, window: 16 } },
  { name: 'idle', mode: 'idle', options: { members: IDLE_MEMBERS, warmup: 1, seconds: 0.5 } },
];

export default {
  name: 'peers',
  async measure(bench) {
    const rounds = Math.min(bench.rounds, ROUNDS_MAX);
    const runs = PEERS.map(() => SHAPES.map(() => []));
    // In turn, so that what drifts meets all of them.
    for (let round = 0; round < rounds; round++)
      for (const [p, { name, start }] of PEERS.entries())
        for (const [s, shape] of SHAPES.entries()) {
          const options = { ...bench.timed, ...shape.options };
          const run = await bench.with(start(bench.system), (target) =>
            bench.load(`${name}: ${shape.name}`, shape.mode, options, target),
          );
          runs[p][s].push(run);
        }
    const rows = PEERS.map(({ name }, p) => [
      name,
      ...[0, 1].flatMap((s) => [
        told(runs[p][s].map((run) => run.deliveries_per_server_cpu_s), 0),
        told(runs[p][s].map((run) => run.latency_ms.p99), 1),
      ]),
      told(runs[p][2].map((run) => run.pss_per_connection_bytes), 0),
    ]);
    return {
      goals: [],
      text: [
        '## Others',
        '',
        `The same load on one process of each. Deliveries to ${MEMBERS.toLocaleString('en-US')} members; memory with`,
        `${IDLE_MEMBERS.toLocaleString('en-US')} idle connections. Parley and the tutorial's server store what they deliver; the`,
        'others do not.',
        '',
        ...table(
          [
            'server',
            'deliveries per CPU s, one message',
            'p99 ms',
            'deliveries per CPU s, 16 in flight',
            'p99 ms',
            'PSS of a connection, bytes',
          ],
          rows,
        ),
      ],
    };
  },
};
