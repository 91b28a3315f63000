/** What was measured, as Markdown. */

export function table(head, rows) {
  return [head, head.map((_, i) => (i === 0 ? '---' : '--:')), ...rows].map((row) => `| ${row.join(' | ')} |`);
}

const SIGNS = { met: '✔ met', missed: '✘ missed', 'within noise': '? within noise' };

/** @param {import('./bench.mjs').Goal[]} goals */
export function goalsTable(goals) {
  const head = ['', 'goal', 'median and interval', 'rounds', 'verdict'];
  const row = ({ name, goal, figure, rounds, confidence, says }) => [
    name,
    goal,
    figure,
    `${rounds} (${(100 * confidence).toFixed(0)} %)`,
    SIGNS[says],
  ];
  return table(head, goals.map(row));
}

/**
 * The report.
 *
 * @param {string} name
 * @param {string} command how it was made
 * @param {string[]} about the machine and the programs
 * @param {{goals: import('./bench.mjs').Goal[], text: string[]}[]} parts
 */
export function report(name, command, about, parts) {
  const goals = parts.flatMap((part) => part.goals);
  return [
    `# Figures of ${name}`,
    '',
    `By \`${command}\`. Medians; in brackets the interval that holds the true one, as sure as stands beside the`,
    'rounds. A goal is met or missed when all of the interval says so. How it is measured, and what it does not say:',
    `[README](../README.md). Every run: [${name}.jsonl](${name}.jsonl).`,
    '',
    ...about,
    '',
    ...(goals.length > 0 ? ['## Goals', '', ...goalsTable(goals), ''] : []),
    ...parts.flatMap(({ text }) => [...text, '']),
  ].join('\n');
}
