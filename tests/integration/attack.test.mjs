/**
 * Attackers of many kinds, all at once, and people who chat meanwhile: those lose nothing, are not cut, and what the gateway takes in
 * memory stays within its bound.
 *
 * PARLEY_TEST_ATTACKERS says how many: `make attack-test` takes 1000, together with 200 people.
 */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { metricSum } from './harness/memory.mjs';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const ATTACKERS = Number(process.env.PARLEY_TEST_ATTACKERS ?? 150);
const PEOPLE = Math.max(20, Math.round(ATTACKERS / 5));
const OF_A_ROOM = 10;
const PHASE_MS = ATTACKERS >= 1000 ? 30_000 : 8000;
/** Each person says something so often. */
const PACE_MS = 1000;
/** Between one who comes and the next. */
const ARRIVAL_MS = 100;

/** LOG_BYTES_MAX, and what docs/operations.md says that a gateway needs besides; and some for each socket. */
const LOG_BYTES_MAX = 64 << 20;
const MEMORY_MAX = LOG_BYTES_MAX + (64 << 20) + ATTACKERS * (64 << 10);

/** The defaults count: those that the harness switches off elsewhere, too. But for heartbeats: who has gone is soon forgotten. */
const defaults = { PING_INTERVAL: '5s', PING_TIMEOUT: '5s', CLIENT_RATE: undefined, ROOM_RATE: undefined, CONNECTIONS_PER_ADDRESS_MAX: undefined };
const stack = ownStack({ gateways: 1, gatewayEnv: { ...defaults, LOG_BYTES_MAX: `${LOG_BYTES_MAX}` } });

const percentile = (values, p) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * p))];

/** People in rooms, who talk for a while. Resolves to how long each acknowledgement took, ms. */
async function talk(rooms, until) {
    const took = [];
    const say = async (person, n) => {
        await new Promise((resolve) => setTimeout(resolve, (n / PEOPLE) * PACE_MS));
        while (performance.now() < until) {
            const began = performance.now();
            assert.equal((await person.say('honest words')).status, 'ok');
            took.push(performance.now() - began);
            await new Promise((resolve) => setTimeout(resolve, Math.max(0, PACE_MS - took.at(-1))));
        }
    };
    await Promise.all(rooms.flatMap(({ people }) => people).map(say));
    return took;
}

/** Meanwhile somebody comes who is the first one in a room, now and then. Resolves to how long each took to be in, ms. */
async function arrive(t, until) {
    const took = [];
    while (performance.now() < until) {
        const began = performance.now();
        const newcomer = await someoneIn(t, stack.urls[0], { room: freshRoom() });
        took.push(performance.now() - began);
        newcomer.goHome();
        await new Promise((resolve) => setTimeout(resolve, ARRIVAL_MS));
    }
    return took;
}

async function live(t, rooms) {
    const until = performance.now() + PHASE_MS;
    const [acknowledged, arrived] = await Promise.all([talk(rooms, until), arrive(t, until)]);
    return `acknowledged ${told(acknowledged)}; in a new room ${told(arrived)}`;
}

/** The most that a process has had in memory so far, bytes; the kernel keeps it, so that nobody has to look while people are timed. */
const residentPeak = ({ child }) => Number(readFileSync(`/proc/${child.pid}/status`, 'utf8').match(/^VmHWM:\s+(\d+) kB/m)[1]) * 1024;

const told = (took) => `${took.length}: p50 ${percentile(took, 0.5).toFixed(1)} ms, p99 ${percentile(took, 0.99).toFixed(1)} ms`;

promise('whoever_attacks_how_ever_people_go_on_talking', { of: stack, timeoutMs: 300_000 }, async (t) => {
    const [gateway] = stack.gateways;
    const rooms = await Promise.all(
        range(1, PEOPLE / OF_A_ROOM).map(async () => {
            const room = freshRoom();
            return { room, people: await Promise.all(range(1, OF_A_ROOM).map(() => someoneIn(t, stack.urls[0], { room }))) };
        }),
    );
    const before = await live(t, rooms);
    const attackers = fork(new URL('./harness/attackers.mjs', import.meta.url), [`${gateway.port}`, `${ATTACKERS}`], { silent: true, detached: true });
    t.after(() => attackers.kill('SIGKILL'));
    let deeds = {};
    attackers.stdout.on('data', (data) => (deeds = JSON.parse(String(data).trim().split('\n').at(-1))));
    await eventually(() => Object.keys(deeds).length > 3, 'the attack');
    const during = await live(t, rooms);
    const peak = residentPeak(gateway);
    attackers.kill('SIGKILL');
    t.diagnostic(`${PEOPLE} people: ${before}`);
    t.diagnostic(`the same, and ${ATTACKERS} attackers: ${during}`);
    t.diagnostic(`deeds ${JSON.stringify(deeds)}; memory ${(peak / (1 << 20)).toFixed(0)} MiB of ${(MEMORY_MAX / (1 << 20)).toFixed(0)}`);

    for (const { people } of rooms) {
        const said = Math.max(...people.flatMap(({ ids }) => ids));
        for (const person of people) {
            await person.hasSeen(said);
            person.sawExactly(1, said);
            assert.equal(person.joins.length, 1, 'nobody had to come back');
            assert.deepEqual([person.errors, person.gaps], [[], []]);
        }
    }
    assert.ok(peak > 0 && peak < MEMORY_MAX, `${peak} bytes`);
    // The attackers are gone, and so is what they took.
    await eventually(async () => metricSum(await gateway.metrics(), 'parley_clients') === PEOPLE, 'the attackers to be forgotten', 30_000);
    assert.equal((await rooms[0].people[0].say('all is well')).status, 'ok');
});
