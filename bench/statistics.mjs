/** What some rounds say of a figure, and whether a goal is met. */

/** How sure an interval should be to hold the median, if there are rounds enough. */
export const CONFIDENCE = 0.95;

/** @param {number[]} values @returns {number} */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 ? sorted[Math.floor(middle)] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** How probable it is that fewer than k of n fair coins show heads. */
function probabilityBelow(k, n) {
  let sum = 0;
  let choose = 1;
  for (let i = 0; i < k; i++) {
    sum += choose;
    choose = (choose * (n - i)) / (i + 1);
  }
  return sum / 2 ** n;
}

/**
 * The median, and between which of the values the true one lies: the exact binomial interval, which supposes nothing of how
 * the values are distributed but that rounds are alike. Each value lies below the true median as a coin falls, so the k-th
 * lowest and the k-th highest enclose it unless fewer than k coins show one side: of 9 values, the 2nd and the 8th do with
 * 96 %. With fewer than 6 there is no such interval of 95 %, and the lowest and the highest must do; how sure they are is
 * told.
 *
 * @param {number[]} values at least one
 */
export function estimate(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const n = sorted.length;
  let k = 1;
  while (k + 1 <= n / 2 && 1 - 2 * probabilityBelow(k + 1, n) >= CONFIDENCE) k++;
  return {
    median: median(sorted),
    low: sorted[k - 1],
    high: sorted[n - k],
    confidence: Math.max(0, 1 - 2 * probabilityBelow(k, n)),
    rounds: n,
  };
}

/**
 * Whether a goal is met: as all of the interval says; where it says both, the rounds cannot tell.
 *
 * @param {{low: number, high: number}} interval
 * @param {{atLeast?: number, atMost?: number}} goal one of both
 * @returns {'met' | 'missed' | 'within noise'}
 */
export function verdict({ low, high }, { atLeast, atMost }) {
  const worst = atLeast === undefined ? high : low;
  const best = atLeast === undefined ? low : high;
  const isFine = (value) => (atLeast === undefined ? value <= atMost : value >= atLeast);
  if (isFine(worst)) return 'met';
  return isFine(best) ? 'within noise' : 'missed';
}
