/** Connections that say nothing: memory, and heartbeats. */
import { goal, told } from '../bench.mjs';
import { table } from '../report.mjs';

const MEMBERS = 15_000; // what a gateway takes by default
/** One heartbeat for each connection in the measured time, for both servers. */
const PING_SECONDS = 5;

/** What 1,000 connections would cost a minute with one heartbeat in 25 s, Engine.IO's default. */
const perMinute = (run) => (run.cpu_s_per_1000_connections_per_minute * PING_SECONDS) / 25;

export default {
  name: 'idle',
  async measure(bench) {
    const options = { members: MEMBERS, warmup: 2, seconds: PING_SECONDS };
    const pairs = await bench.pairs(
      () => bench.gateway('idle', 'idle', options, { PING_INTERVAL: `${PING_SECONDS}s` }),
      () => bench.bare('idle', 'idle', options, { ping: PING_SECONDS * 1000 }),
    );
    const bytes = pairs.map(([run]) => run.pss_per_connection_bytes);
    return {
      goals: [
        goal('memory (PSS) of an idle connection, joined to a room, recoverable, at 15,000', bytes, {
          atMost: 512,
          of: 'bytes',
          digits: 0,
        }),
        goal(
          'heartbeats: CPU of idle connections',
          pairs.map(([parley, bare]) => perMinute(parley) / perMinute(bare)),
          { atMost: 1.5, of: '× the bare server' },
        ),
      ],
      text: [
        '## Idle connections',
        '',
        `${MEMBERS.toLocaleString('en-US')} connections joined to one room, recoverable, silent but for heartbeats.`,
        '',
        ...table(
          ['', 'Parley', 'bare'],
          [
            ['PSS for each, bytes', told(bytes, 0), told(pairs.map(([, bare]) => bare.pss_per_connection_bytes), 0)],
            [
              'PSS of the process before, bytes',
              told(pairs.map(([run]) => run.pss_before_bytes), 0),
              told(pairs.map(([, bare]) => bare.pss_before_bytes), 0),
            ],
            [
              'CPU s for 1,000 connections a minute, one heartbeat in 25 s',
              told(pairs.map(([run]) => perMinute(run)), 4),
              told(pairs.map(([, bare]) => perMinute(bare)), 4),
            ],
          ],
        ),
      ],
    };
  },
};
