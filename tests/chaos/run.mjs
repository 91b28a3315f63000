/**
 * A run: the real system, clients, the nemesis, and at the end the checker. scripts/chaos starts it, in namespaces of its
 * own.
 *
 *   --duration S       how long there are faults
 *   --seed N           decides the schedule of faults and what the clients would like to do
 *   --clients N
 *   --faults A,B       only these kinds
 *   --together P       how often a second fault joins the first, 0..1
 *   --patience S       the longest that the system may take to serve everyone again, and everyone to have everything
 */
import { fork } from 'node:child_process';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../integration/harness/parley.mjs';
import { eventually } from '../integration/harness/wait.mjs';
import { check } from './checker.mjs';
import { Cluster, GATEWAYS, STORES } from './cluster.mjs';
import { population } from './crowd.mjs';
import { FAULTS } from './faults.mjs';
import { brief, readHistory } from './history.mjs';
import { Nemesis } from './nemesis.mjs';
import { PROBE_ROOM, Probe } from './probe.mjs';
import { Random } from './random.mjs';
import { comebacks, reportOf } from './report.mjs';

/** Processes that the clients are spread over. */
const CROWDS = 2;

/** How often memory is looked at, ms. */
const SAMPLE_MS = 1000;

/**
 * What resident memory may come to, KiB. A gateway: LOG_BYTES_MAX of 16 MiB, outboxes of 512 KiB for 60 clients, and the
 * program. A store: LANE_BYTES_MAX is never reached; what Postgres answers to 4 lanes, and the program.
 */
const MEMORY_KIB = { gateway: 96 * 1024, store: 96 * 1024 };

const { values: wishes } = parseArgs({
    options: {
        duration: { type: 'string', default: '180' },
        seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
        clients: { type: 'string', default: '60' },
        faults: { type: 'string', default: '' },
        together: { type: 'string', default: '0.25' },
        patience: { type: 'string', default: '90' },
    },
});

const PATIENCE_MS = Number(wishes.patience) * 1000;

/** A process full of clients, that can be asked. */
class Crowd {
    #number = 0;
    #asked = new Map();

    constructor(config) {
        this.process = fork(path.join(import.meta.dirname, 'crowd.mjs'), [JSON.stringify(config)]);
        this.process.on('message', ({ number, answer }) => {
            this.#asked.get(number)(answer);
            this.#asked.delete(number);
        });
        this.process.on('exit', (code) => {
            if (code !== 0) fail(new Error(`a process of clients ended with ${code}`));
        });
    }

    ask(what, details = {}) {
        return new Promise((resolve) => {
            const number = ++this.#number;
            this.#asked.set(number, resolve);
            this.process.send({ number, what, ...details });
        });
    }
}

function fail(error) {
    process.stderr.write(`${error.stack}\n`);
    process.exit(2);
}

function say(line) {
    process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);
}

/** The rooms as Postgres has them. */
async function readRooms(cluster) {
    const rooms = new Map();
    const epochs = await cluster.postgres.rows(
        'SELECT r.name, e.epoch, e.first_id FROM rooms r JOIN room_epochs e ON e.room_id = r.id ORDER BY e.epoch',
    );
    for (const { name, epoch, first_id: firstId } of epochs) {
        if (!rooms.has(name)) rooms.set(name, { epochs: [], rows: new Map() });
        rooms.get(name).epochs.push({ epoch: Number(epoch), firstId: Number(firstId) });
    }
    for (const [name, { rows }] of rooms) {
        const found = await cluster.postgres.rows(
            'SELECT m.* FROM messages m JOIN rooms r ON r.id = m.room_id WHERE r.name = $1 ORDER BY m.id',
            [name],
        );
        for (const { id, sender, client_id: clientId, session, body } of found)
            rows.set(Number(id), { sender, clientId, session, content: brief(body) });
    }
    return rooms;
}

/** The newest id of each room. */
async function readHeads(cluster) {
    const rows = await cluster.postgres.rows('SELECT name, head FROM rooms');
    return Object.fromEntries(rows.map(({ name, head }) => [name, Number(head)]));
}

/** Everyone ends what is under way, gets what is missing, and leaves. */
async function settle(cluster, crowds, probe, failures) {
    await Promise.all(crowds.map((crowd) => crowd.ask('settle')));
    let told = [];
    const isQuiet = async () => {
        told = await Promise.all(crowds.map((crowd) => crowd.ask('status')));
        return told.every(({ pending }) => pending === 0);
    };
    await eventually(isQuiet, () => `all to be acknowledged: ${JSON.stringify(told)}`, PATIENCE_MS).catch((error) =>
        failures.push(error.message),
    );
    const heads = await readHeads(cluster);
    const isComplete = async () => {
        told = await Promise.all(crowds.map((crowd) => crowd.ask('status', { heads })));
        return told.every(({ behind }) => behind.length === 0);
    };
    await eventually(isComplete, () => `everyone to have everything: ${JSON.stringify(told)}`, PATIENCE_MS).catch((error) =>
        failures.push(error.message),
    );
    await Promise.all(crowds.map((crowd) => crowd.ask('leave', { heads })));
    await probe.leave(heads[PROBE_ROOM]);
}

function sampleMemory(cluster) {
    const most = new Map([...GATEWAYS, ...STORES].map((name) => [name, 0]));
    const timer = setInterval(async () => {
        const now = await cluster.residentKib();
        for (const [name, kib] of Object.entries(now)) most.set(name, Math.max(most.get(name), kib));
    }, SAMPLE_MS);
    return () => {
        clearInterval(timer);
        return [...most].map(([program, kib]) => ({ program, kib, limitKib: MEMORY_KIB[program.split('-')[0]] }));
    };
}

function trafficOf(histories, rooms) {
    const traffic = { stored: 0, acknowledged: 0, delivered: 0, connects: 0, gaps: 0, errors: 0 };
    for (const { rows } of rooms.values()) traffic.stored += rows.size;
    for (const events of histories)
        for (const { kind } of events) {
            if (kind === 'ack') traffic.acknowledged++;
            else if (kind === 'message') traffic.delivered++;
            else if (kind === 'connect') traffic.connects++;
            else if (kind === 'gap') traffic.gaps++;
            else if (kind === 'error') traffic.errors++;
        }
    return traffic;
}

/** Histories one after the other: together they are too much. */
function* readHistories(folder, files) {
    for (const file of files) yield readHistory(path.join(folder, file));
}

async function main() {
    const seed = Number(wishes.seed);
    const seconds = Number(wishes.duration);
    const kinds = wishes.faults ? wishes.faults.split(',') : Object.keys(FAULTS);
    for (const kind of kinds) if (!FAULTS[kind]) throw new Error(`no fault is called "${kind}": ${Object.keys(FAULTS).join(', ')}`);
    const folder = path.join(ROOT, 'build/chaos', String(seed));
    const histories = path.join(folder, 'histories');
    await rm(folder, { recursive: true, force: true });
    await mkdir(histories, { recursive: true });
    say(`seed ${seed}, ${seconds} s, ${wishes.clients} clients`);

    const cluster = await Cluster.start(folder);
    await spoil(cluster, { folder, histories, seed, seconds, kinds }).catch(async (error) => {
        await cluster.keepLogs();
        throw error;
    });
}

/** The run proper. */
async function spoil(cluster, { folder, histories, seed, seconds, kinds }) {
    const gateways = Object.fromEntries(GATEWAYS.map((name) => [name, cluster.url(name)]));
    const people = population(Number(wishes.clients));
    const crowds = Array.from({ length: CROWDS }, (_, n) => {
        const these = people.filter((_, i) => i % CROWDS === n);
        return new Crowd({ seed: seed + 1000 * (n + 1), folder, gateways, people: these });
    });
    const probe = new Probe(folder, gateways, PATIENCE_MS);
    const stopSampling = sampleMemory(cluster);
    const nemesis = new Nemesis({
        cluster,
        probe,
        random: new Random(seed),
        kinds,
        together: Number(wishes.together),
        patienceMs: PATIENCE_MS,
        log: say,
    });
    await nemesis.rage(seconds * 1000);

    say('all faults are over; everyone settles');
    const { faults, failures } = nemesis;
    await settle(cluster, crowds, probe, failures);
    const memory = stopSampling();
    const rooms = await readRooms(cluster);
    await cluster.stop();

    const files = await readdir(histories);
    const all = () => readHistories(histories, files);
    const verdict = check({ histories: all(), rooms, faults, memory });
    for (const [promise, times] of Object.entries(verdict.checked)) if (times === 0) failures.push(`${promise} was not looked at`);
    const { misdeeds } = cluster;
    const traffic = trafficOf(all(), rooms);
    const back = comebacks(all, faults);
    const result = { seed, seconds, clients: people.length, traffic, verdict, faults, failures, misdeeds, memory, back };
    const report = reportOf(result);
    await writeFile(path.join(folder, 'report.md'), report);
    await writeFile(path.join(folder, 'report.json'), JSON.stringify({ ...result, broken: verdict.broken }, null, 2));
    process.stdout.write(`\n${report}\n`);
    const isGood = verdict.violations.length + failures.length + misdeeds.length === 0;
    if (isGood) await rm(histories, { recursive: true });
    else {
        const told = [...rooms].flatMap(([room, { rows }]) => [...rows].map(([id, row]) => JSON.stringify({ room, id, ...row })));
        await writeFile(path.join(folder, 'rows.ndjson'), told.join('\n') + '\n');
        say(`histories, rows and logs: ${path.relative(ROOT, folder)}`);
    }
    process.exit(isGood ? 0 : 1);
}

process.on('SIGINT', () => process.exit(130));
process.on('SIGTERM', () => process.exit(143));
await main().catch(fail);
