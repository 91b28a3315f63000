/**
 * What a run has shown, as text for people: Markdown, which a terminal shows as well.
 */
import { PROMISES } from './checker.mjs';

/** Violations that are printed for each promise; the JSON has all. */
const VIOLATIONS_PRINTED = 5;

/**
 * @param {object} result what run.mjs puts together
 * @returns {string}
 */
export function reportOf({ seed, seconds, clients, traffic, verdict, faults, failures, misdeeds, memory, back }) {
    const rows = [
        `# Chaos, seed ${seed}`,
        '',
        `${seconds} s of faults, ${clients} clients, ${traffic.stored} messages stored, ${traffic.acknowledged} acknowledged, ` +
            `${traffic.delivered} delivered, ${traffic.connects} connections, ${traffic.gaps} gaps told.`,
        '',
        '| promise | | looked at | violations |',
        '|---|---|---|---|',
        ...Object.entries(PROMISES).map(([promise, name]) => {
            const broken = verdict.violations.filter((violation) => violation.promise === promise).length;
            return `| ${promise} | ${name} | ${verdict.checked[promise]} | ${broken} |`;
        }),
        '',
        '| fault | times | from its begin | from its end, median | worst |',
        '|---|---|---|---|---|',
        ...faultRows(faults),
        '',
        'From the begin: until a round through all gateways was over that began under the fault, median; where a gateway is',
        'away, its own probe waits for it. From the end (the process was started again, the cable is whole): until one was over',
        'that began after it. Only faults that were alone are timed.',
        '',
        ...backRows(back),
        `Resident memory at most: ${memory.map(({ program, kib, limitKib }) => `${program} ${mib(kib)} of ${mib(limitKib)}`).join(', ')}.`,
        '',
    ];
    for (const what of [...failures, ...misdeeds]) rows.push(`- **${what}**`);
    for (const promise of verdict.broken) {
        const violations = verdict.violations.filter((violation) => violation.promise === promise);
        rows.push('', `## ${promise} is broken: ${violations.length} violations`, '');
        for (const { client, at, what, evidence } of violations.slice(0, VIOLATIONS_PRINTED))
            rows.push(`- ${at ? new Date(at).toISOString() + ' ' : ''}${client}: ${what}`, `  ${JSON.stringify(evidence)}`);
    }
    return rows.join('\n') + '\n';
}

function faultRows(faults) {
    const kinds = [...new Set(faults.map(({ kind }) => kind))].sort();
    return kinds.map((kind) => {
        const all = faults.filter((fault) => fault.kind === kind);
        const timed = all.filter(({ fromEnd }) => fromEnd !== undefined);
        const begins = timed.map(({ fromBegin }) => fromBegin);
        const ends = timed.map(({ fromEnd }) => fromEnd);
        return `| ${kind} | ${all.length} | ${told(median(begins))} | ${told(median(ends))} | ${told(Math.max(...ends))} |`;
    });
}

function backRows(back) {
    if (back.length === 0) return [];
    const ms = back.map(({ ms: time }) => time);
    return [
        `Clients of a gateway that was killed: ${back.length} came back, connected again in ${told(median(ms))} (median), ` +
            `${told(Math.max(...ms))} (worst).`,
        '',
    ];
}

/** How long clients of killed gateways took to be back. @returns {{client: string, ms: number}[]} */
export function comebacks(histories, faults) {
    const kills = faults.filter(({ kind }) => kind === 'gateway killed');
    const found = [];
    for (const [header, ...events] of histories) {
        let lost = null;
        for (const { kind, at, gateway } of events) {
            const isKilled = ({ subjects, begin, end }) => subjects.includes(gateway) && at >= begin && at <= end;
            if (kind === 'disconnect') lost = kills.some(isKilled) ? at : null;
            else if (kind === 'connect' && lost !== null) {
                // The probe goes back to its own gateway, and to no other.
                if (!header.name.startsWith('probe')) found.push({ client: header.name, ms: at - lost });
                lost = null;
            }
        }
    }
    return found;
}

function median(values) {
    return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

function told(ms) {
    return Number.isFinite(ms) ? `${(ms / 1000).toFixed(2)} s` : '–';
}

function mib(kib) {
    return `${Math.round(kib / 1024)} MiB`;
}
