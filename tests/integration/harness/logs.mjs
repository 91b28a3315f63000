/**
 * What the processes said, for whoever has to find out why a test failed.
 */

/** Stacks of our own that run now. @type {Set<import('./stack.mjs').Stack>} */
export const runningStacks = new Set();

/** Lines of each process that are printed. */
const LINES_PRINTED = 80;

/**
 * Prints what the processes of all running stacks wrote.
 *
 * @param {string} occasion
 * @param {number} [since] epoch ms; older lines are left out
 */
export function printLogs(occasion, since = 0) {
    const out = [`\n──── logs of ${occasion}`];
    for (const child of [...runningStacks].flatMap((stack) => stack.children)) {
        const lines = child.lines.filter((line) => line.at >= since);
        const ending = child.exit ? `, ended: ${child.ending()}` : '';
        out.push(`──── ${child.name} (pid ${child.pid}${ending}), newest ${LINES_PRINTED} of ${lines.length} lines`);
        for (const line of lines.slice(-LINES_PRINTED)) out.push(`${new Date(line.at).toISOString()} ${line.text}`);
    }
    process.stderr.write(out.join('\n') + '\n');
}
