/** Figures of several rounds as Markdown tables. */

/** @param {number[]} values */
export function median(values) {
  const sorted = values.toSorted ? values.toSorted((a, b) => a - b) : [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 ? sorted[Math.floor(middle)] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The median, and between which values the rounds were. */
function spread(values, digits = 0) {
  const text = (value) => value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${text(median(values))} (${text(Math.min(...values))} – ${text(Math.max(...values))})`;
}

function table(head, rows) {
  return [head, head.map((_, i) => (i === 0 ? '---' : '--:')), ...rows].map((row) => `| ${row.join(' | ')} |`);
}

/** Share of one core that a process had, in percent. */
function busy(runs, secondsOf) {
  return median(runs.map((run) => (100 * secondsOf(run)) / run.seconds)).toFixed(0);
}

/**
 * @param {Map<string, {parley: object, bare: object}[]>} fanouts pairs of each shape
 */
export function fanoutTable(fanouts) {
  const head = ['in flight', 'deliveries/s', 'per gateway CPU s', 'per bare CPU s', 'ratio', 'p50 ms', 'p99 ms'];
  const rows = [...fanouts].map(([name, pairs]) => {
    const of = (key) => pairs.map(({ parley }) => parley[key]);
    const perCpu = ({ deliveries_per_server_cpu_s: value }) => value;
    return [
      name,
      spread(of('deliveries_per_s')),
      spread(pairs.map(({ parley }) => perCpu(parley))),
      spread(pairs.map(({ bare }) => perCpu(bare))),
      spread(pairs.map(({ parley, bare }) => perCpu(parley) / perCpu(bare)), 2),
      median(of('latency_ms').map(({ p50 }) => p50)).toFixed(1),
      median(of('latency_ms').map(({ p99 }) => p99)).toFixed(1),
    ];
  });
  return table(head, rows);
}

/** @param {Map<string, object[]>} acks runs of each shape */
export function ackTable(acks) {
  const head = ['senders', 'acknowledged/s', 'p50 ms', 'p99 ms', 'gateway %', 'store %', 'Postgres %', 'NATS %', 'load %'];
  const rows = [...acks].map(([name, runs]) => [
    name,
    spread(runs.map((run) => run.messages_per_s)),
    spread(runs.map((run) => run.latency_ms.p50), 2),
    spread(runs.map((run) => run.latency_ms.p99), 2),
    busy(runs, (run) => run.server_cpu_s),
    busy(runs, (run) => run.watched_cpu_s.store),
    busy(runs, (run) => run.watched_cpu_s.postgres),
    busy(runs, (run) => run.watched_cpu_s.nats),
    busy(runs, (run) => run.load_cpu_s),
  ]);
  return table(head, rows);
}

/** @param {object[]} idles short runs  @param {object} heartbeat a run of one ping interval */
export function idleTable(idles, heartbeat) {
  return table(
    ['idle connections', 'figure'],
    [
      ['how many', idles[0].members.toLocaleString('en-US')],
      ['PSS for each, bytes', spread(idles.map((run) => run.pss_per_connection_bytes))],
      ['PSS of the gateway before, bytes', spread(idles.map((run) => run.pss_before_bytes))],
      ['heartbeats: CPU s for 1,000 connections a minute', heartbeat.cpu_s_per_1000_connections_per_minute.toFixed(3)],
    ],
  );
}
