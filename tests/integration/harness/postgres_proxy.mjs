/**
 * A proxy in front of Postgres that reads its protocol, so that a connection can break at a place of a statement's life
 * and not at some moment.
 *
 * Of the protocol it knows no more than its frames: a type, a length, the rest (version 3, "Message Flow").
 */
import net from 'node:net';
import { Changes } from './wait.mjs';

/** Types of messages. */
const SYNC = 'S'.charCodeAt(0);
const QUERY = 'Q'.charCodeAt(0);
const EXECUTE = 'E'.charCodeAt(0);
const COMMAND_COMPLETE = 'C'.charCodeAt(0);
const READY_FOR_QUERY = 'Z'.charCodeAt(0);

/** Asks for all answers so far; unlike Sync, it does not end the transaction. */
const FLUSH = Buffer.from([0x48, 0, 0, 0, 4]);

/** Cuts a stream into whole messages. */
class Frames {
    #rest = Buffer.alloc(0);

    /** @param {boolean} startsUntyped the client's first message has no type */
    constructor(startsUntyped) {
        this.isUntyped = startsUntyped;
    }

    /** @returns {Buffer[]} the messages that are complete now */
    take(chunk) {
        this.#rest = Buffer.concat([this.#rest, chunk]);
        const messages = [];
        for (;;) {
            const head = this.isUntyped ? 0 : 1;
            if (this.#rest.length < head + 4) return messages;
            const length = head + this.#rest.readUInt32BE(head);
            if (this.#rest.length < length) return messages;
            messages.push(this.#rest.subarray(0, length));
            this.#rest = this.#rest.subarray(length);
            this.isUntyped = false;
        }
    }
}

const firstHalf = (bytes) => bytes.subarray(0, Math.floor(bytes.length / 2));

/**
 * The places where a connection can break: what becomes of the statement, and of the server's answer, until then.
 *
 * `send` is given the statement's messages, and writes; `answer` is given the messages of the answer so far each time
 * that one comes, and returns true when it is time.
 */
export const PLACES = {
    'before the statement is sent': { send: () => {}, answer: null },
    'after a part of it was sent': { send: (server, statement) => server.write(firstHalf(Buffer.concat(statement))), answer: null },
    'after it was executed and before COMMIT': {
        send: (server, statement) => server.write(Buffer.concat([...statement.slice(0, -1), FLUSH])),
        answer: (client, messages) => messages.at(-1)[0] === COMMAND_COMPLETE,
    },
    'after COMMIT, and the answer is lost': {
        send: (server, statement) => server.write(Buffer.concat(statement)),
        answer: (client, messages) => messages.at(-1)[0] === READY_FOR_QUERY,
    },
    'after COMMIT, and half of the answer has come': {
        send: (server, statement) => server.write(Buffer.concat(statement)),
        answer: (client, messages) => {
            if (messages.at(-1)[0] !== READY_FOR_QUERY) return false;
            client.write(firstHalf(Buffer.concat(messages)));
            return true;
        },
    },
};

export class PostgresProxy extends Changes {
    /** How often a connection was broken. */
    breaks = 0;
    #fault = null;
    #socketPath;
    #server;
    #sockets = new Set();

    /** @param {import('./postgres.mjs').Postgres} postgres */
    static async open(postgres) {
        const proxy = new PostgresProxy();
        proxy.#socketPath = `${postgres.socketFolder}/.s.PGSQL.5432`;
        proxy.#server = net.createServer((client) => proxy.#serve(client));
        await new Promise((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
        return proxy;
    }

    /** Connection string for libpq. */
    get url() {
        const { port } = this.#server.address();
        return `postgresql://parley@127.0.0.1:${port}/parley?sslmode=disable&gssencmode=disable`;
    }

    /**
     * Has the next statement whose text, or name where it was prepared, holds some words break its connection when it is executed.
     *
     * @param {string} words
     * @param {keyof PLACES} place
     */
    breakNext(words, place) {
        this.#fault = { words, ...PLACES[place] };
    }

    async broken(times) {
        return this.until(() => this.breaks >= times, `break ${times} of a connection`);
    }

    async close() {
        for (const socket of this.#sockets) socket.destroy();
        await new Promise((resolve) => this.#server.close(resolve));
    }

    #serve(client) {
        const server = net.connect({ path: this.#socketPath });
        const fromClient = new Frames(true);
        const fromServer = new Frames(false);
        let statement = [];
        let answer = [];
        /** The fault that this connection is about to die of. */
        let fault = null;
        const end = () => {
            client.destroy();
            server.destroy();
        };
        const breakNow = () => {
            this.breaks++;
            // What was written goes out first; the other side sees an orderly end, as of a process that died.
            client.end();
            server.end();
            this.changed();
        };
        for (const socket of [client, server]) {
            this.#sockets.add(socket);
            socket.setNoDelay(true);
            socket.on('error', () => {});
            socket.on('close', () => {
                this.#sockets.delete(socket);
                end();
            });
        }
        client.on('data', (chunk) => {
            const isStart = fromClient.isUntyped;
            for (const message of fromClient.take(chunk)) {
                statement.push(message);
                if (!isStart && ![SYNC, QUERY].includes(message[0])) continue;
                const bytes = Buffer.concat(statement);
                const isExecuted = statement.some(([type]) => type === EXECUTE || type === QUERY);
                if (this.#fault && isExecuted && bytes.includes(this.#fault.words)) {
                    fault = this.#fault;
                    this.#fault = null;
                    fault.send(server, statement);
                    if (!fault.answer) breakNow();
                } else {
                    server.write(bytes);
                }
                statement = [];
            }
        });
        server.on('data', (chunk) => {
            if (!fault) {
                client.write(chunk);
                return;
            }
            for (const message of fromServer.take(chunk)) {
                answer.push(message);
                if (fault.answer?.(client, answer)) {
                    breakNow();
                    return;
                }
            }
        });
    }
}
