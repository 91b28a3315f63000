/** What the parts of the measurement have in common: rounds, pairs, runs that are kept. */
import { argumentsOf, startBare, tell } from './system.mjs';
import { estimate, verdict } from './statistics.mjs';

/**
 * @typedef {object} Goal a row of the table of goals
 * @property {string} name
 * @property {string} goal as people say it
 * @property {string} figure the median, and its interval
 * @property {string} says met, missed or within noise
 */

/** Histograms are most of a run's bytes, and a run by hand tells them. */
function withoutHistograms(run) {
  return JSON.parse(JSON.stringify(run, (key, value) => (key === 'histogram' ? undefined : value)));
}

export class Bench {
  /** Every run with its figures, as it is kept beside the report. */
  runs = [];

  /**
   * @param {import('./system.mjs').System} system
   * @param {{rounds: number, seconds: number}} options how often everything is measured, and how long each time
   */
  constructor(system, { rounds, seconds }) {
    this.system = system;
    this.rounds = rounds;
    this.seconds = seconds;
  }

  /** Options of a timed run. */
  get timed() {
    return { warmup: 0.5, seconds: this.seconds };
  }

  /** Keeps a run. */
  async keep(what, measurement) {
    const figures = await measurement.catch((error) => {
      throw new Error(`${what}: ${error.message}`, { cause: error });
    });
    this.runs.push(withoutHistograms({ what, ...figures }));
    return figures;
  }

  /**
   * Runs parley-load against a server.
   *
   * @param {string} what for the record
   * @param {string} mode
   * @param {Record<string, string | number | string[]>} options
   * @param {import('./system.mjs').Target} target
   */
  load(what, mode, options, { port, pid, speak = 'parley' }) {
    const watch = Object.entries(this.system.watched).map(([name, watched]) => `${name}=${watched}`);
    const all = { connect: `127.0.0.1:${port}`, speak, 'server-pid': pid, watch, ...options };
    return this.keep(what, tell('parley-load', [mode, ...argumentsOf(all)]));
  }

  /** Uses a server that is started for that and ended afterwards. */
  async with(starting, use) {
    const target = await starting;
    try {
      return await use(target);
    } finally {
      await target.stop();
    }
  }

  /** parley-load against a fresh gateway. */
  gateway(what, mode, options, env = {}) {
    return this.with(this.system.startGateway(env), (target) => this.load(`parley: ${what}`, mode, options, target));
  }

  /** parley-load against a fresh bare server. */
  bare(what, mode, options, bareOptions = {}) {
    return this.with(startBare(bareOptions), (target) => this.load(`bare: ${what}`, mode, options, target));
  }

  /**
   * Measures two things in turn, the one first in even rounds and the other in odd ones, so that what drifts cancels out.
   * Each is told what the other one last was, where that has been measured; the first is the first.
   *
   * @template A, B
   * @param {(other?: B) => Promise<A>} first
   * @param {(other: A) => Promise<B>} second
   * @returns {Promise<[A, B][]>}
   */
  async pairs(first, second, rounds = this.rounds) {
    const pairs = [];
    let a;
    for (let round = 0; round < rounds; round++) {
      let b;
      if (round % 2 === 0) {
        a = await first();
        b = await second(a);
      } else {
        b = await second(a);
        a = await first(b);
      }
      pairs.push([a, b]);
    }
    return pairs;
  }

  /** Measures one thing several times. */
  async times(measure, rounds = this.rounds) {
    const runs = [];
    for (let round = 0; round < rounds; round++) runs.push(await measure(round));
    return runs;
  }
}

/** A figure and its interval, as text. */
export function told(values, digits = 2) {
  const text = (value) => value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const { median, low, high } = estimate(values);
  return `${text(median)} (${text(low)} – ${text(high)})`;
}

/**
 * A row of the table of goals.
 *
 * @param {string} name
 * @param {number[]} values one of each round
 * @param {{atLeast?: number, atMost?: number, of?: string, digits?: number}} goal `of`: what the number is a multiple of, or
 *     its unit
 * @returns {Goal}
 */
export function goal(name, values, { atLeast, atMost, of = '', digits = 2 }) {
  const bound = atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`;
  const interval = estimate(values);
  return {
    name,
    goal: `${bound} ${of}`.trim(),
    figure: told(values, digits),
    says: verdict(interval, { atLeast, atMost }),
    confidence: interval.confidence,
    rounds: interval.rounds,
  };
}
