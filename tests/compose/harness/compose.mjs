/**
 * The stack that scripts/compose-test has brought up: its containers, to be killed, counted and looked into.
 */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { Postgres } from '../../integration/harness/postgres.mjs';
import { PATIENCE, eventually } from '../../integration/harness/wait.mjs';

const run = promisify(execFile);

const ROOT = path.join(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '../../..');

/** The longest that containers may take to be well again, ms. */
const HEALTHY_MS = 60_000 * PATIENCE;

/** Every service, and how many of it there are. */
export const SERVICES = { postgres: 1, nats: 1, 'store-service': 2, gateway: 2, balancer: 1 };

/** Address of the balancer. */
export const url = required('PARLEY_URLS').split(',')[0];



/** Rows of a query on the stack's database, which may be starting. */
export async function rows(sql, values) {
    const [postgres] = await containers('postgres');
    const [{ NetworkSettings }] = JSON.parse(await docker('inspect', postgres));
    const [network] = Object.values(NetworkSettings.Networks);
    const address = new URL(required('PARLEY_DATABASE_URL'));
    address.hostname = network.IPAddress; // a new container may have another
    const pool = Postgres.poolOf(address.href);
    try {
        return (await pool.query(sql, values)).rows;
    } finally {
        await pool.end();
    }
}

/** Ids of a service's containers, those that run. */
export async function containers(service) {
    const filters = [`label=com.docker.compose.project=${required('COMPOSE_PROJECT_NAME')}`, `label=com.docker.compose.service=${service}`];
    const out = await docker('ps', '-q', '--no-trunc', ...filters.flatMap((filter) => ['--filter', filter]));
    return out.split('\n').filter(Boolean);
}

/** Waits until exactly so many containers of each service run and are well. */
export async function isWell(counts = SERVICES) {
    for (const [service, count] of Object.entries(counts))
        await eventually(
            async () => {
                const ids = await containers(service);
                if (ids.length !== count) throw new Error(`${ids.length} of ${count} run`);
                const states = await docker('inspect', '-f', '{{.State.Health.Status}}', ...ids);
                if (!states.split('\n').every((state) => state === 'healthy')) throw new Error(states);
                return true;
            },
            `${count} healthy containers of ${service}`,
            HEALTHY_MS,
        );
}

/** Kills the container's process from outside, as a crash does; restarting it is Docker's business then. */
export async function crash(container) {
    const [postgres] = await containers('postgres');
    const [{ State }, { Image }] = JSON.parse(await docker('inspect', container, postgres));
    // Whoever may use Docker need not be root here. Any image with a shell will do.
    await docker('run', '--rm', '--pid=host', '--network=none', '--entrypoint=bash', Image, '-c', `kill -9 ${State.Pid}`);
}

/** The same as an operator's wish: Docker does not start it again before `up`. */
export async function kill(container) {
    await docker('kill', container);
}

/** Has that many gateways, and starts what is missing of the rest. */
export async function up(gateways = SERVICES.gateway) {
    await script('compose', 'up', '-d', '--no-recreate', '--scale', `gateway=${gateways}`);
}

/** Replaces every container, one after the other. */
export async function roll() {
    await script('compose-roll');
}

async function docker(...args) {
    return (await run('docker', args, { maxBuffer: 64 << 20 })).stdout.trim();
}

async function script(name, ...args) {
    return (await run(path.join(ROOT, 'scripts', name), args, { maxBuffer: 64 << 20 })).stdout.trim();
}

function required(name) {
    const value = process.env[name];
    if (!value) throw new Error(`${name} is not set: make compose-test sets it`);
    return value;
}
