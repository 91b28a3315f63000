/** Whether twice as much costs twice as much, and not more. */
import { goal, told } from '../bench.mjs';
import { table } from '../report.mjs';

const ROUNDS_MAX = 5;
const FANOUTS = [10, 1000, 15_000]; // members
const CONNECTIONS = [1000, 8000, 15_000];
const CROWDS = [100, 10_000]; // who stay while others come and go
const CHURNERS = 32;
const ROOMS = { members: 1000, each: 100 };
const PACKET_BYTES = 260;

/** CPU µs that a message of one sender costs, whatever it is divided by. */
const perMessage = (run) => (run.server_cpu_s * 1e6) / run.messages;

async function fanouts(bench, measure) {
  const runs = [];
  for (const members of FANOUTS) runs.push(await measure({ members, ...bench.timed }));
  return runs;
}

/** What each delivery more costs, from the small room to the middle one, and from that to the large one. */
function marginal(costs, sizes) {
  return [1, 2].map((i) => (costs[i] - costs[i - 1]) / (sizes[i] - sizes[i - 1]));
}

const growth = ([first, second]) => second / first;

async function measureConnections(bench) {
  const grown = [];
  for (const members of CONNECTIONS) {
    const run = await bench.gateway(`idle, ${members}`, 'idle', { members, warmup: 1, seconds: 0.5 });
    grown.push(run.pss_after_bytes - run.pss_before_bytes);
  }
  return grown;
}

async function measureChurn(bench) {
  const costs = [];
  for (const crowd of CROWDS) {
    const options = { members: crowd + CHURNERS, churners: CHURNERS, ...bench.timed };
    costs.push((await bench.gateway(`churn, ${crowd} stay`, 'churn', options)).server_cpu_us_per_joined);
  }
  return costs;
}

/** Bytes for each room of one member, beside what their connections need. */
async function measureRooms(bench) {
  const { members, each } = ROOMS;
  const grown = async (options) => {
    const all = { members, warmup: 2, seconds: 0.5, ...options };
    const run = await bench.gateway(`${members * (options['rooms-each'] ?? 1)} rooms`, 'idle', all);
    return run.pss_after_bytes - run.pss_before_bytes;
  };
  const few = await grown({ rooms: members });
  return ((await grown({ 'rooms-each': each })) - few) / (members * (each - 1));
}

export default {
  name: 'growth',
  async measure(bench) {
    const rounds = Math.min(bench.rounds, ROUNDS_MAX);
    const pairs = await bench.pairs(
      () => fanouts(bench, (options) => bench.gateway(`one message, ${options.members}`, 'fanout', options)),
      () =>
        fanouts(bench, (options) => bench.bare(`one message, ${options.members}`, 'fanout', options, { packet: PACKET_BYTES })),
      rounds,
    );
    const connections = await bench.times(() => measureConnections(bench), rounds);
    const churns = await bench.times(() => measureChurn(bench), rounds);
    const rooms = [await measureRooms(bench)]; // it takes minutes, and hardly varies
    const parley = pairs.map(([runs]) => marginal(runs.map(perMessage), FANOUTS));
    const bare = pairs.map(([, runs]) => marginal(runs.map(perMessage), FANOUTS));
    const memory = connections.map((grown) => marginal(grown, CONNECTIONS));
    const steps = (values, digits) => [0, 1].map((i) => told(values.map((value) => value[i]), digits));
    return {
      goals: [
        goal('growth: CPU of a delivery more, 1,000 → 15,000 members against 10 → 1,000', parley.map(growth), {
          atMost: 1.15,
        }),
        goal('growth: memory of a connection more, 8,000 → 15,000 against 1,000 → 8,000', memory.map(growth), {
          atMost: 1.15,
        }),
        goal('growth: CPU of joining and leaving, a room of 10,000 against one of 100', churns.map(growth), { atMost: 1.15 }),
        goal('growth: memory (PSS) of a room with one member, at 100,000 rooms', rooms, {
          atMost: 2048,
          of: 'bytes',
          digits: 0,
        }),
      ],
      text: [
        '## Growth',
        '',
        'What one more costs where there are few, and where there are many. The bare server shows what the kernel and the',
        'caches make of it.',
        '',
        ...table(
          ['one more', 'where there are few', 'where there are many'],
          [
            ['delivery, gateway CPU µs (10 → 1,000 → 15,000 members)', ...steps(parley)],
            ['delivery, bare CPU µs', ...steps(bare)],
            ['connection, PSS bytes (1,000 → 8,000 → 15,000)', ...steps(memory, 0)],
            ['connect, join and leave, gateway CPU µs (100, 10,000 stay)', ...steps(churns, 1)],
            ['room of one member, PSS bytes (1,000 → 100,000)', '', told(rooms, 0)],
          ],
        ),
      ],
    };
  },
};
