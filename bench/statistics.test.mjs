/** Whether what the report says of its figures is so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { estimate, median, verdict } from './statistics.mjs';

const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);

test('the median of an even number of values lies between the middle ones', () => {
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([3, 1, 2]), 2);
});

test('of nine values the second and the eighth enclose the median with 96 %', () => {
  const { low, high, confidence } = estimate([9, 1, 8, 2, 7, 3, 6, 4, 5]);
  assert.deepEqual([low, high], [2, 8]);
  assert.equal(confidence, 1 - 20 / 512);
});

test('six values are the fewest whose lowest and highest do with 95 %', () => {
  assert.ok(estimate(upTo(6)).confidence >= 0.95);
  assert.ok(estimate(upTo(5)).confidence < 0.95);
  assert.deepEqual([estimate(upTo(5)).low, estimate(upTo(5)).high], [1, 5]);
});

test('the interval is no wider than it has to be', () => {
  // Of a table of the binomial intervals of medians.
  for (const [n, k] of [[8, 1], [11, 2], [12, 3], [15, 4], [20, 6], [25, 8]]) assert.equal(estimate(upTo(n)).low, k, `n = ${n}`);
});

test('one value is known for nothing', () => {
  assert.deepEqual(estimate([7]), { median: 7, low: 7, high: 7, confidence: 0, rounds: 1 });
});

test('a goal is missed only when all of the interval misses it', () => {
  assert.equal(verdict({ low: 0.8, high: 0.94 }, { atLeast: 0.95 }), 'missed');
  assert.equal(verdict({ low: 0.8, high: 0.95 }, { atLeast: 0.95 }), 'within noise');
  assert.equal(verdict({ low: 0.95, high: 1.2 }, { atLeast: 0.95 }), 'met');
  assert.equal(verdict({ low: 1.16, high: 2 }, { atMost: 1.15 }), 'missed');
  assert.equal(verdict({ low: 1.15, high: 2 }, { atMost: 1.15 }), 'within noise');
  assert.equal(verdict({ low: 0, high: 1.15 }, { atMost: 1.15 }), 'met');
});
