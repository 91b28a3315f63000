/**
 * The cluster of the current kubectl context, and the stack that scripts/k8s-test has put there.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Child } from '../integration/harness/child.mjs';
import { Postgres } from '../integration/harness/postgres.mjs';
import { eventually } from '../integration/harness/wait.mjs';

const run = promisify(execFile);

/** For what pods take their time for. */
export const MINUTES_MS = 60_000;

export class Cluster {
    #namespace = process.env.PARLEY_K8S_NAMESPACE ?? 'parley-test';

    async kubectl(...args) {
        const { stdout } = await run('kubectl', ['--namespace', this.#namespace, ...args], { maxBuffer: 1 << 26 });
        return stdout;
    }

    async #json(...args) {
        return JSON.parse(await this.kubectl('get', ...args, '--output', 'json'));
    }

    /** Address of the Service "gateway" from here: its port on this machine, or on a node. */
    async gatewayUrl() {
        const [service, nodes] = await Promise.all([this.#json('service', 'gateway'), this.#json('nodes')]);
        const port = service.spec.ports[0].nodePort;
        const addresses = nodes.items.flatMap((node) => node.status.addresses).filter(({ type }) => type.endsWith('IP'));
        const urls = ['127.0.0.1', ...addresses.map(({ address }) => address)].map((host) => `http://${host}:${port}`);
        const answers = (url) => fetch(url, { signal: AbortSignal.timeout(2000) }).then((response) => response.ok && url);
        return eventually(() => Promise.any(urls.map(answers)), `an answer from one of ${urls.join(', ')}`);
    }

    /** Pods of a workload, those too that are about to end. */
    async pods(name) {
        return (await this.#json('pods', '--selector', `app.kubernetes.io/name=${name}`)).items;
    }

    /** Waits for that many gateways, all of them ready, and for the end of all others. */
    async hasGateways(min, max = min) {
        return eventually(
            async () => {
                const pods = await this.pods('gateway');
                return pods.length >= min && pods.length <= max && pods.every(isReady);
            },
            `${min} to ${max} ready gateways and no other`,
            2 * MINUTES_MS,
        );
    }

    /** Says how many gateways there may be; their number is the autoscaler's. */
    async boundGateways(min, max) {
        const spec = { minReplicas: min, maxReplicas: max };
        await this.kubectl('patch', 'hpa', 'gateway', '--patch', JSON.stringify({ spec }));
    }

    /** What the autoscaler makes of the gateways' CPU, in percent of what they ask for; undefined until it knows. */
    async gatewayLoad() {
        const { status } = await this.#json('hpa', 'gateway');
        // As autoscaling/v1 has it, which an old kubectl asks for, and as v2.
        return status.currentCPUUtilizationPercentage ?? status.currentMetrics?.[0]?.resource?.current.averageUtilization;
    }

    /**
     * Replaces all pods of workloads, as in deployment/gateway, at the same time but each workload by its own rules, and
     * waits for the end of the old ones.
     */
    async roll(workloads) {
        const names = workloads.map((workload) => workload.split('/')[1]);
        const podIds = async () => (await Promise.all(names.map((name) => this.pods(name)))).flat().map(idOf);
        const old = await podIds();
        await this.kubectl('rollout', 'restart', ...workloads);
        await Promise.all(workloads.map((workload) => this.kubectl('rollout', 'status', workload, '--timeout', '4m')));
        const rest = async () => (await podIds()).filter((id) => old.includes(id));
        await eventually(async () => (await rest()).length === 0, 'the end of the old pods', MINUTES_MS);
    }

    /** Rows of a query on the stack's database, through a port of our own. */
    async rows(sql, values) {
        const args = ['--namespace', this.#namespace, 'port-forward', 'statefulset/postgres', ':5432'];
        const home = { HOME: process.env.HOME, KUBECONFIG: process.env.KUBECONFIG };
        const env = Object.fromEntries(Object.entries(home).filter(([, value]) => value !== undefined));
        const forward = new Child('port-forward', 'kubectl', args, { env });
        const secret = (await this.#json('secrets')).items.find(({ data }) => data?.POSTGRES_PASSWORD);
        try {
            const [, port] = await forward.line(/^Forwarding from 127\.0\.0\.1:(\d+)/);
            const url = new URL(Buffer.from(secret.data.DATABASE_URL, 'base64').toString());
            url.host = `127.0.0.1:${port}`;
            const pool = Postgres.poolOf(url.href);
            const { rows } = await pool.query(sql, values);
            await pool.end();
            return rows;
        } finally {
            await forward.end();
        }
    }
}

function isReady(pod) {
    return pod.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
}

function idOf(pod) {
    return `${pod.metadata.name} ${pod.metadata.uid}`;
}
