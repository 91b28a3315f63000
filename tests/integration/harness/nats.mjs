/**
 * A private nats-server behind a door, so that its address stays when it is started again.
 */
import { Child } from './child.mjs';
import { Door } from './door.mjs';

export class Nats {
    /** @type {Child | null} */
    child = null;
    /** @type {Door} */
    door;
    #port = null;
    #options = [];
    #env = {};

    /**
     * @param {object} [wishes]
     * @param {string[]} [wishes.options] more arguments for nats-server, at each start
     * @param {Record<string, string>} [wishes.env] of its environment
     */
    static async start({ options = [], env = {} } = {}) {
        const nats = new Nats();
        nats.#options = options;
        nats.#env = env;
        nats.door = await Door.open(() => nats.#port);
        await nats.start();
        return nats;
    }

    get url() {
        return `nats://127.0.0.1:${this.door.port}`;
    }

    /** @param {string[]} [options] more arguments for nats-server */
    async start(options = this.#options) {
        this.child = new Child('nats', 'nats-server', ['-a', '127.0.0.1', '-p', '-1', ...options], { env: this.#env });
        const listening = await this.child.line(/Listening for client connections on 127\.0\.0\.1:(\d+)/);
        this.#port = Number(listening[1]);
        await this.child.line(/Server is ready/);
    }

    async kill() {
        this.#port = null;
        await this.child.end('SIGKILL');
    }

    async stop() {
        await this.kill();
        await this.door.close();
    }
}
