/**
 * What a process of ours holds in memory, and what the kernel holds for its sockets.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The number behind a metric's name, without labels. */
export function metric(text, name) {
    const found = text.match(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)`, 'm'));
    if (!found) throw new Error(`no metric ${name}`);
    return Number(found[1]);
}

/** The sum of all samples of a metric. */
export function metricSum(text, name) {
    const found = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)`, 'gm'))];
    if (found.length === 0) throw new Error(`no metric ${name}`);
    return found.reduce((sum, [, value]) => sum + Number(value), 0);
}

/**
 * Bytes: `pss` and `rss` as the kernel counts them, `heap` what the program has from malloc, `sockets` what the kernel
 * holds for the connections to the gateway's port, of both their ends where those are on this machine.
 *
 * @param {import('./parley.mjs').Gateway} gateway
 */
export async function memoryOf(gateway) {
    const rollup = await readFile(`/proc/${gateway.child.pid}/smaps_rollup`, 'utf8');
    const kibibytes = (name) => Number(rollup.match(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm'))[1]) * 1024;
    const metrics = await gateway.metrics();
    return {
        rss: kibibytes('Rss'),
        pss: kibibytes('Pss'),
        heap: metric(metrics, 'parley_heap_bytes'),
        log: metric(metrics, 'parley_room_log_bytes'),
        pages: metric(metrics, 'parley_page_bytes'),
        outbox: metric(metrics, 'parley_outbox_bytes'),
        sockets: await socketMemory(gateway.port),
    };
}

/** Of the sockets that the gateway accepted: `t` and `w` of skmem are what waits to be sent, `r` what to be read. */
async function socketMemory(port) {
    const { stdout } = await run('ss', ['-tmnH', 'sport', '=', `:${port}`], { maxBuffer: 1 << 26 });
    let bytes = 0;
    for (const [, received, waiting] of stdout.matchAll(/skmem:\(r(\d+),.*?,w(\d+),/g)) bytes += Number(received) + Number(waiting);
    return bytes;
}
