/**
 * Histories: what each client did and saw, one JSON object a line, in the order in which it happened to it.
 *
 * The checker trusts nothing else. Every event has `at` (epoch ms of the machine, which nobody fakes) and `kind`:
 *
 * | kind | fields | |
 * |---|---|---|
 * | `client` | `name, room, way, echo, retries` | first line; the name is the sender's, and nobody else's |
 * | `connect` | `gateway, sid, recovered, resumes, fresh` | `resumes`: had a pid to come back with; `fresh`: a new connection, which told its last id itself |
 * | `disconnect` | `gateway, reason, own` | `own`: the client wanted it |
 * | `refusal` | `gateway, message` | a CONNECT_ERROR, from which clients do not come back |
 * | `message` | `id, epoch, from, content, clientId` | |
 * | `gap` | `from, to, reason` | |
 * | `send` | `clientId, content` | each time that it was emitted; with `retries`, once, and the library sends it when it can |
 * | `ack` | `clientId, status, id, duplicate, code` | |
 * | `error` | `clientId, code` | a chat error |
 * | `given_up` | `clientId` | will not be sent again |
 * | `read` | `gateway, ms, complete` | a newcomer read from a gateway's memory while Postgres or the stores were away |
 * | `end` | `complete` | last line: whether it had reached the head |
 *
 * `clientId` is the client's own word for the message, also where it sends none along.
 */
import { createHash } from 'node:crypto';
import { createWriteStream, readFileSync } from 'node:fs';
import { once } from 'node:events';

/** Content up to this length stands in a history as it is. */
const CONTENT_MAX = 80;

/** Longer content stands there as its beginning, length and digest. */
export function brief(content) {
    if (content.length <= CONTENT_MAX) return content;
    const digest = createHash('sha256').update(content).digest('base64url').slice(0, 16);
    return `${content.slice(0, 40)}…${content.length}:${digest}`;
}

export class History {
    #stream;

    /** @param {string} file */
    constructor(file) {
        this.#stream = createWriteStream(file);
    }

    write(kind, fields) {
        this.#stream.write(JSON.stringify({ at: Date.now(), kind, ...fields }) + '\n');
    }

    async close() {
        this.#stream.end();
        await once(this.#stream, 'close');
    }
}

/** All events of a history. @returns {object[]} */
export function readHistory(file) {
    const lines = readFileSync(file, 'utf8').split('\n');
    lines.pop(); // behind the last newline
    return lines.map((line) => JSON.parse(line));
}
