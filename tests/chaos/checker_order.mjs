/**
 * P1, P3, P5: what came to a client, in which order, and what did not.
 */

/** @param {import('./checker.mjs').Verdict} verdict */
export function checkOrder(verdict, client, room) {
    const reader = new Reader(verdict, client, room);
    for (const event of client.events) {
        if (event.kind === 'connect') reader.onConnect(event);
        else if (event.kind === 'message') reader.onMessage(event);
        else if (event.kind === 'gap') reader.onGap(event);
    }
    reader.onEnd(client.events.at(-1));
}

/** A client's cursor, as it must have moved. */
class Reader {
    /** Newest id that it has, or was told that it will not get; null before the first. */
    #last = null;
    /** Of this connection: the event, and what was missing when it began. */
    #connection = null;
    /** Ids that came, told from what was skipped. */
    #seen = new Set();

    constructor(verdict, client, room) {
        Object.assign(this, { verdict, client, room });
    }

    onConnect(event) {
        this.#judgeConnection();
        this.#connection = { event, last: this.#last, isFirstMessage: true, gaps: [] };
        if (event.resumes || this.#last !== null) this.verdict.count('P5');
    }

    onMessage({ at, id, epoch, from, content, clientId }) {
        const { verdict, client } = this;
        verdict.count('P1');
        verdict.count('P3');
        if (this.#seen.has(id)) this.#broken('P3', at, 'the same message came twice', { id, content });
        else if (this.#last !== null && id <= this.#last) this.#broken('P1', at, 'ids are not ascending', { id, after: this.#last });
        else if (this.#last !== null) this.#mayMiss(this.#last + 1, id - 1, at);
        this.#seen.add(id);
        const row = this.room.rows.get(id);
        if (!row) this.#broken('P1', at, 'nothing is stored under this id', { id, content });
        else if (row.content !== content || row.sender !== from || (row.clientId !== clientId))
            this.#broken('P1', at, 'something else is stored under this id', { id, told: { from, content, clientId }, row });
        else if (client.echo === false && from === client.name && row.session === this.#connection?.event.sid)
            this.#broken('P1', at, 'its own message came back, which it did not want', { id, content });
        if (epoch !== epochOf(this.room, id)) this.#broken('P1', at, 'another epoch than is stored', { id, epoch });
        this.#last = Math.max(this.#last ?? 0, id);
        if (this.#connection) this.#connection.isFirstMessage = false;
    }

    onGap({ at, from, to, reason }) {
        const next = (this.#last ?? 0) + 1;
        this.verdict.count('P5');
        if (this.#last !== null && from > next) this.#mayMiss(next, from - 1, at);
        this.#connection?.gaps.push({ from, to, reason });
        this.#last = Math.max(this.#last ?? 0, to);
    }

    /** After the end everyone has everything. */
    onEnd(event) {
        this.#judgeConnection();
        const head = this.room.rows.size;
        this.verdict.count('P1');
        if (event?.kind !== 'end') this.#broken('P1', event?.at ?? 0, 'the history has no end', {});
        else if (this.#last === null) head > 0 && this.#broken('P1', event.at, 'it never got anything', { head });
        else this.#mayMiss(this.#last + 1, head, event.at);
    }

    /** Ids that did not come; only own ones, where they are not wanted, may be among them. */
    #mayMiss(from, to, at) {
        const missing = [];
        for (let id = from; id <= to; id++) if (!this.#isUnwanted(id)) missing.push(id);
        if (missing.length === 0) return;
        // Missing at the beginning of a connection: that is what coming back promises.
        const promise = this.#connection?.isFirstMessage && this.#connection.last !== null ? 'P5' : 'P1';
        const told = { from: missing[0], to: missing.at(-1), count: missing.length, connection: this.#connection?.event };
        this.#broken(promise, at, 'messages never came, and no gap told it', told);
    }

    #isUnwanted(id) {
        return this.client.echo === false && this.room.rows.get(id)?.sender === this.client.name;
    }

    /** Whether `recovered` was the truth, now that it is known what followed. */
    #judgeConnection() {
        if (!this.#connection?.event.resumes) return;
        const { event, gaps } = this.#connection;
        if (event.recovered && gaps.length > 0)
            this.#broken('P5', event.at, 'recovered, and yet there was a gap', { gaps, event });
        if (!event.recovered && gaps.length === 0)
            this.#broken('P5', event.at, 'not recovered, though nothing was missing', { event });
    }

    #broken(promise, at, what, evidence) {
        this.verdict.violation(promise, this.client.name, at, what, evidence);
    }
}

function epochOf(room, id) {
    return room.epochs.findLast(({ firstId }) => firstId <= id)?.epoch;
}
