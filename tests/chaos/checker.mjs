/**
 * The judge: pure functions over what the clients wrote down (history.mjs), the rows of Postgres, and when which fault
 * was there. It trusts nobody, and knows nothing else of the run.
 *
 * For each promise of the design it counts what it looked at, and tells every violation with its evidence.
 */
import { checkOrder } from './checker_order.mjs';
import { checkSends } from './checker_sends.mjs';
import { checkConnections } from './checker_connections.mjs';

/**
 * @typedef {object} Room
 * @property {{epoch: number, firstId: number}[]} epochs oldest first
 * @property {Map<number, {sender: string, clientId: string, session: string, content: string}>} rows by id, content in brief
 *
 * @typedef {object} Fault
 * @property {string} kind
 * @property {number} begin epoch ms
 * @property {number} end when it was taken away
 * @property {string[]} cuts gateways whose connections it may stall or break
 * @property {boolean} storeAway whether Postgres, or every store, was away, and nothing else was wrong
 *
 * @typedef {object} Violation
 * @property {string} promise P1..P8
 * @property {string} client
 * @property {number} at epoch ms
 * @property {string} what
 * @property {unknown} evidence
 */

export const PROMISES = {
    P1: 'order',
    P2: 'durable',
    P3: 'exactly once',
    P4: 'no silence',
    P5: 'recovery',
    P6: 'sender order',
    P7: 'bounded',
    P8: 'degrade',
};

/** How a promise is counted and broken. */
export class Verdict {
    /** @type {Record<string, number>} how much was looked at, by promise */
    checked = Object.fromEntries(Object.keys(PROMISES).map((promise) => [promise, 0]));
    /** @type {Violation[]} */
    violations = [];

    count(promise, times = 1) {
        this.checked[promise] += times;
    }

    violation(promise, client, at, what, evidence) {
        this.violations.push({ promise, client, at, what, evidence });
    }

    get broken() {
        return [...new Set(this.violations.map(({ promise }) => promise))].sort();
    }
}

/**
 * Judges a run.
 *
 * @param {object} run
 * @param {Iterable<object[]>} run.histories of each client; looked at one after the other
 * @param {Map<string, Room>} run.rooms
 * @param {Fault[]} run.faults
 * @param {{program: string, kib: number, limitKib: number}[]} run.memory most resident memory that was seen
 * @returns {Verdict}
 */
export function check({ histories, rooms, faults, memory }) {
    const verdict = new Verdict();
    for (const [name, room] of rooms) checkRows(verdict, name, room);
    for (const [header, ...events] of histories) {
        const room = rooms.get(header.room) ?? { epochs: [], rows: new Map() };
        const client = { ...header, events };
        checkOrder(verdict, client, room);
        checkSends(verdict, client, room, faults);
        checkConnections(verdict, client, faults);
    }
    for (const { program, kib, limitKib } of memory) {
        verdict.count('P7');
        if (kib > limitKib) verdict.violation('P7', program, 0, 'more memory than its limits add up to', { kib, limitKib });
    }
    return verdict;
}

/** What is stored: ids without holes, each message once. */
function checkRows(verdict, name, { rows }) {
    const where = new Map();
    let id = 0;
    for (const told of [...rows.keys()].sort((a, b) => a - b)) {
        verdict.count('P1');
        if (told !== ++id) verdict.violation('P1', `room ${name}`, 0, 'a hole in what is stored', { after: id - 1, next: told });
        id = told;
    }
    for (const [id, { sender, clientId, content }] of rows) {
        // The clients never say the same twice, so this is sharper than the rule of the client ids.
        verdict.count('P3');
        const first = where.get(content);
        if (first) verdict.violation('P3', sender, 0, 'stored twice', { room: name, ids: [first, id], clientId, content });
        where.set(content, id);
    }
}
