/**
 * A load balancer without sticky sessions: each connection goes to the next gateway that takes it.
 *
 * So requests of one session reach all gateways, which relay them to each other, and a WebSocket takes its session over.
 */
import net from 'node:net';

/** How long a gateway has to take a connection, ms. */
const CONNECT_MS = 1000;

export class Balancer {
    #targets;
    #next = 0;
    #server = net.createServer({ allowHalfOpen: true }, (client) => this.#lead(client));

    /** @param {string[]} urls of the gateways */
    static async open(urls) {
        const balancer = new Balancer();
        balancer.#targets = urls.map((url) => new URL(url));
        await new Promise((resolve) => balancer.#server.listen(0, '127.0.0.1', resolve));
        return balancer;
    }

    get url() {
        return `http://127.0.0.1:${this.#server.address().port}`;
    }

    /** Tries each gateway once. */
    async #lead(client) {
        client.on('error', () => client.destroy());
        for (let tries = 0; tries < this.#targets.length; tries++) {
            const { hostname, port } = this.#targets[this.#next++ % this.#targets.length];
            const server = await connected(hostname, Number(port));
            if (!server) continue;
            for (const [from, to] of [[client, server], [server, client]]) {
                from.on('error', () => to.destroy());
                from.on('close', () => to.destroy());
                from.pipe(to);
            }
            if (client.destroyed) server.destroy();
            return;
        }
        client.destroy();
    }
}

/** A connection, or null where there is none in time. */
function connected(host, port) {
    return new Promise((resolve) => {
        const socket = net.connect({ host, port, allowHalfOpen: true });
        const give = (result) => {
            clearTimeout(timer);
            socket.removeAllListeners();
            socket.on('error', () => {});
            if (!result) socket.destroy();
            resolve(result);
        };
        const timer = setTimeout(() => give(null), CONNECT_MS);
        socket.on('connect', () => give(socket));
        socket.on('error', () => give(null));
    });
}
