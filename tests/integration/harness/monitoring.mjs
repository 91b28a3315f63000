/**
 * A Prometheus with the configuration of deploy/prometheus, on the processes of a stack; and what beside it an operator
 * is given: alerts, dashboard, and the page that says what they mean.
 */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { Child } from './child.mjs';
import { ROOT } from './parley.mjs';
import { eventually } from './wait.mjs';

const SCRAPE_MS = 250;

/** What $__rate_interval is in Grafana: a few scrapes. */
const RATE_INTERVAL = '30s';

const DEPLOY = path.join(ROOT, 'deploy/prometheus');

/** A configuration of deploy/prometheus, with fixed targets in the place of whatever finds them. */
export async function configuration(file, targets) {
    const text = await readFile(path.join(DEPLOY, file), 'utf8');
    let job = '';
    let isLeftOut = false;
    const lines = [];
    for (const line of text.split('\n')) {
        const [, name] = line.match(/^ {2}- job_name: (\S+)$/) ?? [];
        job = name ?? job;
        const [, key] = line.match(/^ {2}[- ] (\w+):/) ?? []; // of a job
        if (key) isLeftOut = /_sd_configs$|^static_configs$/.test(key);
        if (isLeftOut && key) lines.push('    static_configs:', `      - targets: ${JSON.stringify(targets[job] ?? [])}`);
        else if (!isLeftOut || line.trim() === '') lines.push(line);
    }
    return lines
        .join('\n')
        .replaceAll(/(scrape|evaluation)_interval: \S+/g, `$1_interval: ${SCRAPE_MS}ms`)
        .replace('- alerts.yml', `- ${path.join(DEPLOY, 'alerts.yml')}`);
}

/**
 * Runs promtool.
 *
 * @param {string[]} args
 * @param {string} [input] for its standard input
 * @returns {Promise<string>} all it said; it fails, with that, when promtool finds fault
 */
export async function promtool(args, input = '') {
    const run = promisify(execFile)('promtool', args);
    run.child.stdin.end(input);
    try {
        const { stdout, stderr } = await run;
        return stdout + stderr;
    } catch (error) {
        throw new Error(`promtool ${args.join(' ')}: ${error.stdout}${error.stderr}`, { cause: error });
    }
}

export class Prometheus {
    /** @type {Child} */
    child;
    #url = '';
    #programs = 0;

    /** Starts one that scrapes the programs of a stack. */
    static async start(stack) {
        const prometheus = new Prometheus();
        const admin = (programs) => programs.map((program) => `127.0.0.1:${program.adminPort}`);
        const file = stack.file('prometheus.yml');
        const targets = { gateway: admin(stack.gateways), 'store-service': admin(stack.stores) };
        await writeFile(file, await configuration('prometheus.yml', targets));
        prometheus.#programs = stack.gateways.length + stack.stores.length;
        const data = stack.file('prometheus');
        const args = [`--config.file=${file}`, `--storage.tsdb.path=${data}`, '--web.listen-address=127.0.0.1:0'];
        prometheus.child = new Child('prometheus', 'prometheus', args);
        const [, address] = await prometheus.child.line(/msg="Listening on" address=(\S+)/);
        prometheus.#url = `http://${address}`;
        await eventually(async () => (await fetch(`${prometheus.#url}/-/ready`)).ok, 'Prometheus to be ready');
        return prometheus;
    }

    async #get(page, query = {}) {
        const response = await fetch(`${this.#url}/api/v1/${page}?${new URLSearchParams(query)}`);
        const answer = await response.json();
        if (answer.status !== 'success') throw new Error(`${JSON.stringify(query)}: ${answer.error}`);
        return answer.data;
    }

    /**
     * What a query gives now; it fails when that does not parse.
     *
     * @returns {Promise<{labels: Record<string, string>, value: number}[]>}
     */
    async query(query) {
        const { result } = await this.#get('query', { query });
        return result.map((sample) => ({ labels: sample.metric, value: Number(sample.value[1]) }));
    }

    /** The only value of a query that has one. */
    async value(query) {
        const samples = await this.query(query);
        if (samples.length !== 1) throw new Error(`${query}: ${samples.length} samples`);
        return samples[0].value;
    }

    /** @returns {Promise<{name: string, query: string, health: string, annotations: object, labels: object}[]>} */
    async alerts() {
        const { groups } = await this.#get('rules');
        return groups.flatMap((group) => group.rules);
    }

    /** How often each program was scraped without a hitch: the least of all, 0 while one is missing. */
    async scrapes() {
        const counts = await this.query('sum_over_time(up{job=~"gateway|store-service"}[5m])');
        return counts.length < this.#programs ? 0 : Math.min(...counts.map(({ value }) => value));
    }

    async stop() {
        await this.child.end('SIGTERM');
    }
}

/** The dashboard, as Grafana reads it. */
export async function dashboard() {
    return JSON.parse(await readFile(path.join(ROOT, 'deploy/grafana/dashboards/parley.json'), 'utf8'));
}

/** The queries of a panel, its variables replaced as Grafana does. */
export function queriesOf(panel) {
    return (panel.targets ?? []).map(({ expr }) =>
        expr.replaceAll('$__rate_interval', RATE_INTERVAL).replaceAll('$gateway', '.*'),
    );
}

/** docs/operations.md. */
export async function operationsPage() {
    return readFile(path.join(ROOT, 'docs/operations.md'), 'utf8');
}

/** Names of metrics in a query or a text, without what histograms put behind. */
export function metricsIn(text) {
    const names = text.match(/\b(?:parley|process)_[a-z_]+[a-z]\b(?!\()/g) ?? [];
    return new Set(names.map((name) => name.replace(/_(bucket|sum|count)$/, '')));
}
