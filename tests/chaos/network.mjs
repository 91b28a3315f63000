/**
 * The network: each part in a network namespace of its own, all of them on one bridge, and the faults of the cables.
 *
 * scripts/chaos starts the run in namespaces of its own (network, processes, mounts), so whatever is made here vanishes
 * with the run, however that ends, and two runs do not see each other. The clients, and the run itself, live where the
 * bridge is.
 *
 * The kernels that this runs on need no netem: loss is iptables' random match, a slow cable is a token bucket.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Where the clients are: not a namespace of its own. */
export const CLIENTS = 'clients';

const SUBNET = '10.99.0';
const CLIENTS_ADDRESS = `${SUBNET}.1`;

export class Network {
    /** @type {Map<string, string>} address by name of a part */
    #addresses = new Map([[CLIENTS, CLIENTS_ADDRESS]]);

    /** Makes the bridge, and a namespace for each part. @param {string[]} parts */
    static async create(parts) {
        const network = new Network();
        await ip('link set lo up');
        await ip('link add bridge type bridge');
        await ip(`addr add ${CLIENTS_ADDRESS}/24 dev bridge`);
        await ip('link set bridge up');
        for (const [i, part] of parts.entries()) {
            const address = `${SUBNET}.${10 + i}`;
            await ip(`netns add ${part}`);
            await ip(`link add ${part} type veth peer name eth0 netns ${part}`);
            await ip(`link set ${part} master bridge up`);
            await ip(`-n ${part} link set lo up`);
            await ip(`-n ${part} addr add ${address}/24 dev eth0`);
            await ip(`-n ${part} link set eth0 up`);
            network.#addresses.set(part, address);
        }
        return network;
    }

    address(part) {
        return this.#addresses.get(part);
    }

    /** The command that starts a program at a part's place. */
    launcher(part) {
        return part === CLIENTS ? [] : ['ip', 'netns', 'exec', part];
    }

    /**
     * Nothing gets from one part to another any more, nor back; connections stay open and hear nothing.
     *
     * @param {boolean} [oneWay] what the second says still arrives at the first
     * @returns {Promise<() => Promise<void>>} ends it
     */
    async partition(one, other, oneWay = false) {
        const ends = [await this.#drop(other, one)];
        if (!oneWay) ends.push(await this.#drop(one, other));
        return async () => {
            for (const end of ends) await end();
        };
    }

    /** Each packet to a part is lost with a probability. @returns {Promise<() => Promise<void>>} ends it */
    async lose(part, probability) {
        return this.#rule(part, ['-m', 'statistic', '--mode', 'random', '--probability', String(probability)]);
    }

    /** A part's cable takes only so many bits in a second, and queues what is more. */
    async slow(part, kbit) {
        await this.#at(part, ['tc', 'qdisc', 'add', 'dev', 'eth0', 'root', 'tbf', 'rate', `${kbit}kbit`, 'burst', '8kb', 'latency', '2s']);
        return async () => {
            await this.#at(part, ['tc', 'qdisc', 'del', 'dev', 'eth0', 'root']);
        };
    }

    /** What comes from one part is not heard at another. */
    #drop(at, from) {
        return this.#rule(at, ['-s', this.address(from)]);
    }

    async #rule(part, match) {
        const rule = ['INPUT', ...match, '-j', 'DROP'];
        await this.#at(part, ['iptables', '-w', '-A', ...rule]);
        return async () => {
            await this.#at(part, ['iptables', '-w', '-D', ...rule]);
        };
    }

    #at(part, command) {
        const [program, ...args] = [...this.launcher(part), ...command];
        return run(program, args);
    }
}

function ip(args) {
    return run('ip', args.split(' '));
}
