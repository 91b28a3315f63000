/**
 * P8: connections stay while only Postgres, the stores or NATS are away, and memory is still served.
 */

/**
 * How long after a fault a connection may still end from it, ms: PING_INTERVAL and PING_TIMEOUT of the run's gateways,
 * and what a busy machine adds.
 */
const AFTERMATH_MS = 20_000;

/**
 * @param {import('./checker.mjs').Verdict} verdict
 * @param {import('./checker.mjs').Fault[]} faults
 */
export function checkConnections(verdict, client, faults) {
    const broken = (event, what, evidence) => verdict.violation('P8', client.name, event.at, what, evidence);
    let gateway = null;
    for (const event of client.events) {
        switch (event.kind) {
            case 'connect':
                gateway = event.gateway;
                break;
            case 'disconnect':
                if (gateway === null) break; // it had not joined
                verdict.count('P8');
                if (!event.own && !isExcused(event.at, gateway, faults) && !isRequestCutByClock(event, gateway, faults))
                    broken(event, 'a connection ended though nothing had happened to its gateway', { gateway, event });
                gateway = null;
                break;
            case 'refusal':
                broken(event, 'refused with a CONNECT_ERROR, from which clients do not come back', { event });
                break;
            case 'read':
                verdict.count('P8');
                if (!event.complete) broken(event, 'what is in memory was not served', { event });
                break;
        }
    }
    // Being there while Postgres or the stores are not counts, too.
    for (const { begin, end } of faults.filter(({ storeAway }) => storeAway)) {
        if (staysOver(client.events, begin, end)) verdict.count('P8');
    }
}

function isExcused(at, gateway, faults) {
    return faults.some(({ cuts, begin, end }) => cuts.includes(gateway) && at >= begin && at <= end + AFTERMATH_MS);
}

/** libh2o measures the timeouts of HTTP connections by the clock: when that jumps, a request of long-polling may be cut. */
function isRequestCutByClock({ at, reason }, gateway, faults) {
    const jumped = faults.filter(({ kind, subjects }) => kind.startsWith('clock') && subjects?.includes(gateway));
    return reason === 'transport error' && jumped.some(({ begin, end }) => at >= begin && at <= end + AFTERMATH_MS);
}

/** Whether the client was connected all the time. */
function staysOver(events, begin, end) {
    let isThere = false;
    for (const { kind, at } of events) {
        if (at >= end) break;
        if (kind === 'connect') isThere = at <= begin;
        if (kind === 'disconnect') isThere = false;
    }
    return isThere;
}
