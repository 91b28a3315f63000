/** Members who come back: from a gateway's memory, and after the death of a server. */
import { goal, told } from '../bench.mjs';
import { startTutorial } from '../peers/peers.mjs';
import { table } from '../report.mjs';
import { argumentsOf, startBare, tell } from '../system.mjs';

const MEMBERS = 10_000;
const MISSED = 100;
const STORM_MEMBERS = 5000;
const STORM_MISSED = 20;
const STORM_ROUNDS_MAX = 5; // the tutorial's server takes its time
const PACKET_BYTES = 260;

async function queriesOf(gateway) {
  return Number((await gateway.metrics()).match(/^parley_queries_total (\S+)$/m)[1]);
}

async function measureFromMemory(bench) {
  const options = { members: MEMBERS + 1, missed: MISSED };
  const what = `recovery, ${MEMBERS} × ${MISSED}`;
  let packet = PACKET_BYTES;
  return bench.pairs(
    () =>
      bench.with(bench.system.startGateway(), async (target) => {
        const run = await bench.load(`parley: ${what}`, 'recovery', options, target);
        packet = Math.round(run.caught_up_bytes / (MEMBERS * MISSED));
        run.queries = await queriesOf(target.gateway);
        return run;
      }),
    () => bench.with(startBare({ packet, replay: 'on' }), (target) => bench.load(`bare: ${what}`, 'recovery', options, target)),
  );
}

/** All members of one server, which is killed, come back to another one. */
async function storm(bench, what, start) {
  const [dying, other] = [await start(), await start()];
  try {
    const options = {
      connect: `127.0.0.1:${dying.port}`,
      back: `127.0.0.1:${other.port}`,
      witness: `127.0.0.1:${other.port}`,
      speak: dying.speak ?? 'parley',
      members: STORM_MEMBERS + 1,
      witnesses: 1,
      missed: STORM_MISSED,
      every: 0,
      'server-pid': other.pid,
    };
    const killed = async (load) => {
      await load.line(/^joined$/, 120_000);
      await dying.child.end('SIGKILL');
    };
    return await bench.keep(`${what}: storm`, tell('parley-load', ['storm', ...argumentsOf(options)], killed));
  } finally {
    await dying.child.end('SIGKILL');
    await other.stop();
  }
}

async function measureStorm(bench) {
  return bench.pairs(
    () => storm(bench, 'parley', () => bench.system.startGateway()),
    async () => {
      await bench.system.forgetTutorial();
      return storm(bench, 'tutorial', () => startTutorial(bench.system));
    },
    Math.min(bench.rounds, STORM_ROUNDS_MAX),
  );
}

export default {
  name: 'recovery',
  async measure(bench) {
    const memory = await measureFromMemory(bench);
    const storms = await measureStorm(bench);
    const cpuOf = (run) => run.server_cpu_s / run.caught_up_bytes;
    const last = (run) => run.complete_ms.max;
    const row = (name, runs) => [
      name,
      told(runs.map(last), 0),
      told(runs.map((run) => run.server_cpu_us_per_return), 1),
      told(runs.map((run) => run.caught_up_bytes / 1e6), 1),
      told(runs.map((run) => run.caught_up_bytes / 1e6 / run.server_cpu_s), 0),
    ];
    return {
      goals: [
        goal(
          `recovery from memory, ${MEMBERS.toLocaleString('en-US')} members each missing ${MISSED}: bytes per CPU s`,
          memory.map(([parley, bare]) => cpuOf(bare) / cpuOf(parley)),
          { atLeast: 0.7, of: '× the bare server' },
        ),
        goal('queries that the store sees meanwhile, joins before it included', memory.map(([run]) => run.queries), {
          atMost: 10,
          digits: 0,
        }),
        goal(
          `reconnect storm, ${STORM_MEMBERS.toLocaleString('en-US')} clients missing ${STORM_MISSED}, until the last has all`,
          storms.map(([parley, tutorial]) => last(tutorial) / last(parley)),
          { atLeast: 8, of: "× faster than the tutorial's server", digits: 1 },
        ),
        goal('the same: gateway CPU of each', storms.map(([run]) => run.server_cpu_us_per_return), {
          atMost: 80,
          of: 'µs',
          digits: 1,
        }),
      ],
      text: [
        '## Coming back',
        '',
        `From memory: ${MEMBERS.toLocaleString('en-US')} members of one room leave, miss ${MISSED} messages, and come back at once to where they`,
        'were. Storm: a server dies, its clients come back at once to another one, which was there before. Time until the last',
        'one has everything; the load generator’s handshakes are part of it.',
        '',
        ...table(
          ['', 'ms until the last', 'server CPU µs each', 'MB', 'MB per CPU s'],
          [
            row('from memory: Parley', memory.map(([run]) => run)),
            row('from memory: bare', memory.map(([, run]) => run)),
            row('storm: Parley', storms.map(([run]) => run)),
            row('storm: tutorial', storms.map(([, run]) => run)),
          ],
        ),
      ],
    };
  },
};
