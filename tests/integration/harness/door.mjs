/**
 * A door: a TCP port of the test's own that leads to a server, or to another one, or nowhere.
 *
 * A client that knows only the door meets another gateway when it reconnects, as it would behind a load balancer; and a
 * server behind a door may take any free port at each start, while its address stays.
 */
import net from 'node:net';

export class Door {
    port = 0;
    #server;
    #target;
    /** @type {Set<{client: net.Socket, server: net.Socket, isFrozen: boolean}>} */
    #passages = new Set();

    /**
     * Opens a door on a free port of the loopback.
     *
     * @param {() => (number | string | null)} target tells the port, or the path of a Unix socket, that a new connection
     *     leads to; null refuses it
     */
    static async open(target) {
        const door = new Door();
        door.#target = target;
        // Half-open connections are passed on as such: the door must not change what the two sides see.
        door.#server = net.createServer({ allowHalfOpen: true }, (client) => door.#enter(client));
        await door.reopen();
        return door;
    }

    /** Nobody listens any more: new connections are refused by the kernel, as when the server was never started. */
    async shut() {
        await new Promise((resolve) => this.#server.close(resolve));
    }

    /** Listens again, on the port that it has always had. */
    async reopen() {
        await new Promise((resolve, reject) => {
            this.#server.once('error', reject);
            this.#server.listen(this.port, '127.0.0.1', resolve);
        });
        this.port = this.#server.address().port;
        this.#server.unref();
    }

    get url() {
        return `http://127.0.0.1:${this.port}`;
    }

    /** Connections that stand open. */
    get connectionCount() {
        return this.#passages.size;
    }

    /** New connections lead elsewhere from now on; open ones stay. Nowhere is an accept and a reset, as by a proxy. */
    leadTo(target) {
        this.#target = target;
    }

    /**
     * The connections that are open now fall silent both ways, and neither side is told: what a dead mobile network
     * does. New connections pass.
     */
    freeze() {
        for (const passage of this.#passages) {
            passage.isFrozen = true;
            for (const socket of [passage.client, passage.server]) {
                socket.unpipe();
                socket.pause();
            }
        }
    }

    /** Resets the connections that are open now. */
    cut() {
        for (const { client, server } of this.#passages) {
            reset(client);
            reset(server);
        }
    }

    async close() {
        for (const { client, server } of this.#passages) {
            client.destroy();
            server.destroy();
        }
        await new Promise((resolve) => this.#server.close(resolve));
    }

    #enter(client) {
        const target = this.#target();
        if (target === null) {
            client.on('error', () => {});
            client.resetAndDestroy();
            return;
        }
        const place = typeof target === 'string' ? { path: target } : { port: target, host: '127.0.0.1' };
        const server = net.connect({ ...place, allowHalfOpen: true });
        const passage = { client, server, isFrozen: false };
        this.#passages.add(passage);
        for (const [socket, other] of [
            [client, server],
            [server, client],
        ]) {
            socket.setNoDelay(true);
            socket.on('error', () => {});
            socket.on('close', () => {
                if (passage.isFrozen) return;
                this.#passages.delete(passage);
                other.destroy();
            });
            socket.pipe(other);
        }
    }
}

/**
 * Node loses a socket that is reset while its own FIN is under way, and then never ends; such a one has said goodbye
 * already, so that a plain close tells its peer as much.
 */
function reset(socket) {
    const isTcp = socket.remoteFamily !== undefined; // only that can be reset
    if (socket.writableEnded || !isTcp) socket.destroy();
    else socket.resetAndDestroy();
}
