/**
 * What can go wrong: each kind of fault, how it is made and how it is taken away.
 *
 * A fault of a kind is { subjects, detail, cuts, storeAway, lasts, begin, end }:
 *
 *   subjects    parts that it is about; two faults at a time have none in common
 *   detail      what else chance decided, for people
 *   cuts        gateways whose connections to clients it may stall or break; BALANCER for those that come through one: their
 *               requests go to every gateway, and over NATS from one to the other
 *   storeAway   whether Postgres or every store is away, and all else is well
 *   lasts       how long, between the end of begin() and the beginning of end(): a name of LASTS_MS
 */
import { eventually } from '../integration/harness/wait.mjs';
import { GATEWAYS, NATS, POSTGRES, STORES, WITH_CLOCK } from './cluster.mjs';
import { CLIENTS } from './network.mjs';

/** The longest that a store takes to come by a failpoint, ms. */
const FAILPOINT_MS = 20_000;

/** The name, among the gateways, of the load balancer that leads to all of them. */
export const BALANCER = 'balancer';

const HOUR_S = 3600;

/** Least and most. What is long may be longer than every deadline: of a send, of NATS's pings, of a statement. */
export const LASTS_MS = { moment: [0, 0], short: [1000, 4000], long: [2000, 5000], longer: [8000, 14_000] };

/**
 * All kinds. Each makes a fault for a cluster; chance chooses whom it hits.
 *
 * @type {Record<string, (cluster: import('./cluster.mjs').Cluster, random: import('./random.mjs').Random) => Fault>}
 */
export const FAULTS = {
    'gateway killed': (cluster, random) => killed(cluster, [random.of(GATEWAYS)]),
    'gateway frozen': (cluster, random) => frozen(cluster, [random.of(GATEWAYS)]),
    'gateway restarted': (cluster, random) => restarted(cluster, random.of(GATEWAYS)),
    'store killed': (cluster, random) => killed(cluster, [random.of(STORES)]),
    'store frozen': (cluster, random) => frozen(cluster, [random.of(STORES)]),
    'store restarted': (cluster, random) => restarted(cluster, random.of(STORES)),
    'both stores killed': (cluster) => ({ ...killed(cluster, STORES), storeAway: true }),
    'both stores frozen': (cluster) => ({ ...frozen(cluster, STORES), storeAway: true }),
    'store killed after COMMIT': (cluster, random) => atFailpoint(cluster, random.of(STORES), 'kill'),
    'store frozen after COMMIT': (cluster, random) => atFailpoint(cluster, random.of(STORES), 'stop'),
    'NATS killed': (cluster) => killed(cluster, [NATS]),
    'NATS frozen': (cluster) => frozen(cluster, [NATS]),
    'NATS restarted': (cluster) => restarted(cluster, NATS),
    'Postgres crashed': (cluster) => postgresAway(cluster, () => cluster.postgres.stop('immediate')),
    'Postgres decapitated': (cluster) => postgresAway(cluster, () => cluster.postgres.decapitate()),
    'Postgres stopped': (cluster) => postgresAway(cluster, () => cluster.postgres.stop()),
    'Postgres frozen': postgresFrozen,
    'disk of Postgres full': diskFull,
    'disk and log of Postgres full': logFull,
    'gateway and NATS parted': (cluster, random) => parted(cluster, random, [random.of(GATEWAYS)], NATS),
    'gateway and clients parted': (cluster, random) => parted(cluster, random, [random.of(GATEWAYS)], CLIENTS),
    'store and NATS parted': (cluster, random) => parted(cluster, random, [random.of(STORES)], NATS),
    'store and Postgres parted': (cluster, random) => parted(cluster, random, [random.of(STORES)], POSTGRES),
    'both stores and Postgres parted': (cluster, random) => ({ ...parted(cluster, random, STORES, POSTGRES), storeAway: true }),
    'packets lost': packetsLost,
    'slow cable': slowCable,
    'clock forwards': (cluster, random) => clockSet(cluster, random.of(WITH_CLOCK), random.between(1, 48) * HOUR_S),
    'clock backwards': (cluster, random) => clockSet(cluster, random.of(WITH_CLOCK), -random.between(1, 48) * HOUR_S),
};


function killed(cluster, names) {
    return {
        subjects: names,
        cuts: cutsOf(names),
        lasts: 'short',
        begin: () => Promise.all(names.map((name) => cluster.part(name).kill())),
        end: async () => names.forEach((name) => cluster.part(name).start()),
    };
}

function frozen(cluster, names) {
    return {
        subjects: names,
        cuts: cutsOf(names),
        lasts: 'long',
        begin: async () => names.forEach((name) => cluster.part(name).freeze()),
        end: async () => names.forEach((name) => cluster.part(name).thaw()),
    };
}

function restarted(cluster, name) {
    return {
        subjects: [name],
        cuts: cutsOf([name]),
        lasts: 'moment',
        begin: () => cluster.part(name).stop(),
        end: async () => cluster.part(name).start(),
    };
}

/** A store that has committed, and has neither published nor answered. */
function atFailpoint(cluster, name, what) {
    const part = cluster.part(name);
    const hasHappened = () => (what === 'kill' ? !part.child.isRunning : part.isFrozen());
    return {
        subjects: [name],
        cuts: [],
        lasts: what === 'kill' ? 'short' : 'long',
        begin: async () => {
            part.child.isEndExpected = what === 'kill';
            await cluster.armFailpoint(name, 'store.after_commit', what);
            await eventually(hasHappened, `${name} to come by the failpoint`, FAILPOINT_MS);
        },
        end: async () => (what === 'kill' ? part.start() : part.thaw()),
    };
}

function postgresAway(cluster, stop) {
    return { ...aboutPostgres, lasts: 'short', begin: stop, end: () => cluster.startPostgres() };
}

function postgresFrozen(cluster) {
    return {
        ...aboutPostgres,
        lasts: 'long',
        begin: () => cluster.postgres.pause(),
        end: () => cluster.postgres.resume(),
    };
}

/** It goes on for a while with what it has allocated, then its statements fail. */
function diskFull(cluster) {
    return {
        ...aboutPostgres,
        storeAway: false,
        lasts: 'long',
        begin: () => cluster.fillDisk(),
        end: async () => {
            await cluster.emptyDisk();
            await eventually(async () => {
                if (!cluster.postgres.child.isRunning) await cluster.startPostgres();
                return cluster.postgres.rows('SELECT 1');
            }, 'Postgres to answer with room on its disk');
        },
    };
}

/** Nor is there room for its log, without which it gives up altogether. */
function logFull(cluster) {
    return {
        ...diskFull(cluster),
        storeAway: true,
        begin: async () => {
            await cluster.fillDisk();
            await eventually(async () => {
                const written = cluster.postgres.rows("SELECT pg_logical_emit_message(false, 'chaos', repeat('x', 1000000))");
                return written.then(() => false, () => true);
            }, 'Postgres to have no room for its log');
        },
    };
}

function parted(cluster, random, names, other) {
    const isOneWay = random.chance(0.3);
    const isTurned = random.chance(0.5);
    let ends = [];
    return {
        subjects: [...names, other],
        detail: isOneWay ? 'one way' : '',
        cuts: other === CLIENTS ? cutsOf(names) : cutsOf(names).filter((name) => name === BALANCER),
        lasts: 'long',
        begin: async () => {
            for (const name of names) {
                const pair = isTurned ? [other, name] : [name, other];
                ends.push(await cluster.network.partition(...pair, isOneWay));
            }
        },
        end: () => Promise.all(ends.map((end) => end())),
    };
}

function packetsLost(cluster, random) {
    const probability = random.of([0.02, 0.1, 0.25]);
    return onCable(anyPart(random), `1 of ${1 / probability}`, (name) => cluster.network.lose(name, probability));
}

function slowCable(cluster, random) {
    const kbit = random.of([128, 512, 2048]);
    return onCable(anyPart(random), `${kbit} kbit/s`, (name) => cluster.network.slow(name, kbit));
}

function onCable(name, detail, spoil) {
    let mend;
    return {
        subjects: [name],
        detail,
        cuts: cutsOf([name]),
        lasts: 'long',
        begin: async () => {
            mend = await spoil(name);
        },
        end: () => mend(),
    };
}

function clockSet(cluster, name, seconds) {
    return {
        subjects: [name],
        detail: `${Math.abs(seconds) / HOUR_S} h`,
        cuts: [],
        lasts: 'long',
        begin: () => cluster.setClock(name, seconds),
        end: () => cluster.setClock(name, 0),
    };
}

const aboutPostgres = { subjects: [POSTGRES], cuts: [], storeAway: true };

/** What faults of these parts themselves cut. Stores and Postgres: nothing. */
function cutsOf(names) {
    const gateways = names.filter((name) => GATEWAYS.includes(name));
    return gateways.length > 0 || names.includes(NATS) ? [...gateways, BALANCER] : [];
}

function anyPart(random) {
    return random.of([...GATEWAYS, ...STORES, NATS, POSTGRES]);
}

/**
 * @typedef {object} Fault
 * @property {string[]} subjects
 * @property {string} [detail]
 * @property {string[]} cuts
 * @property {boolean} [storeAway]
 * @property {keyof LASTS_MS} lasts
 * @property {() => Promise<unknown>} begin
 * @property {() => Promise<unknown>} end
 */
