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
            `${traffic.delivered} delivered, ${traffic.connects} connections, ${traffic.gaps} gaps and ${traffic.errors} chat errors told.`,
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
    const connected = back.map(({ connectedMs }) => connectedMs);
    const complete = back.map(({ completeMs }) => completeMs);
    return [
        `Clients of a gateway that was killed: ${back.length} came back, connected again in ${told(median(connected))} (median), ` +
            `${told(Math.max(...connected))} (worst), and had all that anyone else had then in ${told(median(complete))} ` +
            `(median), ${told(Math.max(...complete))} (worst).`,
        '',
    ];
}

/**
 * How long clients of killed gateways took to be back, and to have what others had when they were back.
 *
 * @param {() => Iterable<object[]>} histories
 * @param {import('./checker.mjs').Fault[]} faults
 * @returns {{client: string, connectedMs: number, completeMs: number}[]}
 */
export function comebacks(histories, faults) {
    const kills = faults.filter(({ kind }) => kind === 'gateway killed');
    if (kills.length === 0) return [];
    const seen = firstSeen(histories());
    const found = [];
    for (const [header, ...events] of histories()) {
        if (header.name.startsWith('probe')) continue; // it goes back to its own gateway, and to no other
        const room = seen.get(header.room) ?? [];
        let lost = null;
        let newest = 0;
        for (const [i, { kind, at, gateway, id, to }] of events.entries()) {
            newest = Math.max(newest, id ?? to ?? 0);
            const isKilled = ({ subjects, begin, end }) => subjects.includes(gateway) && at >= begin && at <= end;
            if (kind === 'disconnect') lost = kills.some(isKilled) ? at : null;
            else if (kind === 'connect' && lost !== null) {
                const head = room.findLastIndex((first) => first <= at);
                const last = newest >= head ? events[i] : events.slice(i).find((event) => (event.id ?? event.to ?? 0) >= head);
                found.push({ client: header.name, connectedMs: at - lost, completeMs: (last?.at ?? Infinity) - lost });
                lost = null;
            }
        }
    }
    return found;
}

/** For each room, by id: when anyone first had the message. @returns {Map<string, number[]>} */
function firstSeen(histories) {
    const rooms = new Map();
    for (const [{ room }, ...events] of histories) {
        if (!rooms.has(room)) rooms.set(room, []);
        const seen = rooms.get(room);
        for (const { kind, id, at } of events) if (kind === 'message') seen[id] = Math.min(seen[id] ?? Infinity, at);
    }
    return rooms;
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
