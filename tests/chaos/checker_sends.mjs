/**
 * P2, P3, P4, P6: what became of what a client sent.
 */

/** SEND_DEADLINE of the gateways, ms. */
const DEADLINE_MS = 8000;

/** What a busy machine may add to it, ms. */
const SLACK_MS = 5000;

/**
 * @param {import('./checker.mjs').Verdict} verdict
 * @param {import('./checker.mjs').Fault[]} faults
 */
export function checkSends(verdict, client, room, faults) {
    checkAcknowledgements(verdict, client, room);
    checkSilence(verdict, client, faults);
    checkSenderOrder(verdict, client, room);
}

/** An acknowledgement names the row that holds this very message. */
function checkAcknowledgements(verdict, client, room) {
    const contents = new Map();
    const acknowledged = new Map();
    const broken = (promise, event, what, evidence) => verdict.violation(promise, client.name, event.at, what, evidence);
    for (const event of client.events) {
        const { kind, clientId, status, id } = event;
        if (kind === 'send') contents.set(clientId, event.content);
        if (kind !== 'ack') continue;
        const content = contents.get(clientId);
        if (status !== 'ok') {
            broken('P4', event, 'a good message was refused', { content, event });
            continue;
        }
        verdict.count('P2');
        verdict.count('P3');
        const row = room.rows.get(id);
        if (!row) broken('P2', event, 'acknowledged, and not stored', { id, content });
        else if (row.content !== content || row.sender !== client.name)
            broken('P2', event, 'acknowledged under an id that holds something else', { id, content, row });
        if (acknowledged.has(clientId) && acknowledged.get(clientId) !== id)
            broken('P3', event, 'acknowledged with two ids', { content, ids: [acknowledged.get(clientId), id] });
        acknowledged.set(clientId, id);
    }
}

/** Each send ends, while its connection lives, in an acknowledgement or a chat error. */
function checkSilence(verdict, client, faults) {
    if (client.retries) return; // the library keeps its attempts to itself
    /** What is under way on this connection. @type {Map<string, {sent: object, due: number}>} */
    const open = new Map();
    let gateway = null;
    for (const event of client.events) {
        for (const [clientId, { sent, due }] of open) {
            if (event.at <= due) continue;
            verdict.violation('P4', client.name, sent.at, 'neither acknowledged nor refused in time', { sent, next: event });
            open.delete(clientId);
        }
        switch (event.kind) {
            case 'connect':
                gateway = event.gateway;
                break;
            case 'send':
                verdict.count('P4');
                open.set(event.clientId, { sent: event, due: dueOf(event.at, gateway, faults) });
                break;
            case 'ack':
            case 'error':
                open.delete(event.clientId);
                break;
            case 'disconnect':
                open.clear();
                break;
        }
    }
}

/** When a message must have been answered; a connection that is cut, or a gateway that is frozen, takes longer. */
function dueOf(at, gateway, faults) {
    let due = at + DEADLINE_MS + SLACK_MS;
    const cuts = faults.filter((fault) => fault.cuts.includes(gateway)).sort((a, b) => a.begin - b.begin);
    for (const { begin, end } of cuts) {
        // The kernel sends again after a time that doubles: what was lost is there after as long once more.
        const healed = end + (end - begin);
        if (begin < due && healed > at) due = Math.max(due, healed + DEADLINE_MS + SLACK_MS);
    }
    return due;
}

/**
 * Messages of one connection are stored in the order of their first send. One that ended in a chat error may have been
 * dropped, and then counts as sent when it was sent again. What was sent on several connections has no place in any. The
 * library's own retries send one message at a time, so they keep their order over all connections.
 */
function checkSenderOrder(verdict, client, room) {
    const ids = new Map();
    for (const [id, { sender, content }] of room.rows) if (sender === client.name) ids.set(content, id);
    for (const sends of sendsByConnection(client)) {
        const stored = [...sends].filter(([content]) => ids.has(content)).sort(([a], [b]) => ids.get(a) - ids.get(b));
        let before = null;
        for (const [content, places] of stored) {
            verdict.count('P6');
            const place = places.find((candidate) => before === null || candidate > before.place);
            if (place === undefined) {
                const told = { content, id: ids.get(content), sent: places, after: { ...before, id: ids.get(before.content) } };
                verdict.violation('P6', client.name, 0, 'stored in another order than sent', told);
                break;
            }
            before = { content, place };
        }
    }
}

/** For each connection: the places, in the order of all sends, at which a message may have been taken. */
function sendsByConnection(client) {
    const connections = new Map();
    const lastOf = new Map(); // by client id
    const connectionsOf = new Map(); // by content
    let connection = 0; // a session id outlives connections
    for (const [place, { kind, clientId, content }] of client.events.entries()) {
        if (kind === 'connect' && !client.retries) connection = place;
        if (kind === 'error' && lastOf.has(clientId)) lastOf.get(clientId).mayBeDropped = true;
        if (kind === 'given_up' && client.retries && lastOf.has(clientId)) lastOf.get(clientId).isOut = true;
        if (kind !== 'send') continue;
        if (!connections.has(connection)) connections.set(connection, new Map());
        const messages = connections.get(connection);
        const message = messages.get(content) ?? { places: [], mayBeDropped: true, isOut: false };
        if (message.mayBeDropped) message.places.push(place);
        message.mayBeDropped = false;
        messages.set(content, message);
        lastOf.set(clientId, message);
        connectionsOf.set(content, (connectionsOf.get(content) ?? new Set()).add(connection));
    }
    return [...connections.values()].map((messages) => {
        const whole = [...messages].filter(([content, { isOut }]) => !isOut && connectionsOf.get(content).size === 1);
        return new Map(whole.map(([content, { places }]) => [content, places]));
    });
}
