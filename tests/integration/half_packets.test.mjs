/**
 * Clients that begin large packets and do not end them: what a gateway keeps for all of them together is bounded, and whoever ends
 * theirs is served.
 */
import assert from 'node:assert/strict';
import net from 'node:net';
import { memoryOf, metric } from './harness/memory.mjs';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { frame, RawWebSocket } from './harness/raw_websocket.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const stack = ownStack({ gateways: 1 });
const [MIB, HOLDERS] = [1 << 20, 120];
const ALL_BYTES_MAX = 64 * MIB;

/** Of a packet of the longest, all but the end. */
const BEGUN_BYTES = 900_000;
const longest = 'x'.repeat(999_000);

async function talkersIn(t, room, options) {
    return Promise.all(range(1, 2).map(() => someoneIn(t, stack.urls[0], { room, ...options })));
}

/** Says something, and sees that it comes. */
async function talk(people, n) {
    assert.equal((await people[n % 2].say(`${n}`)).status, 'ok');
    for (const person of people) await person.hasSeen(n);
}

/** Begins with all holders at once while people talk, until one is cut off; resolves to how many are left then. */
async function holdAndTalk(holders, people, begin, bytesName) {
    const [gateway] = stack.gateways;
    const heapBefore = (await memoryOf(gateway)).heap;
    const open = new Set(holders);
    for (const holder of holders) {
        holder.socket.on('close', () => open.delete(holder));
        holder.socket.on('error', () => {});
    }
    let said = 0;
    for (const holder of holders) {
        begin(holder);
        await talk(people, ++said);
    }
    const held = async () => metric(await gateway.metrics(), bytesName);
    await eventually(() => open.size < holders.length, 'somebody to be cut off');
    await eventually(async () => Math.abs((await held()) - open.size * BEGUN_BYTES) < open.size * 100_000, 'what is left to be told');
    assert.ok((await held()) <= ALL_BYTES_MAX);
    assert.ok(open.size >= 50, `${open.size} are left: no more had to go`);
    const grown = (await memoryOf(gateway)).heap - heapBefore;
    // A buffer grows by doubling.
    assert.ok(grown < 2 * ALL_BYTES_MAX + 16 * MIB, `${grown} bytes more`);
    for (const person of people) {
        person.sawExactly(1, said);
        assert.equal(person.leaves.length, 0);
    }
    return { open, held };
}

promise('half_frames_of_all_connections_together_are_bounded', { of: stack }, async (t) => {
    const [gateway] = stack.gateways;
    const people = await talkersIn(t, freshRoom());
    const holders = await Promise.all(range(1, HOLDERS).map(() => RawWebSocket.open(t, gateway.url)));
    const half = frame({ payload: `2${longest}` }).subarray(0, BEGUN_BYTES);
    const { open, held } = await holdAndTalk(holders, people, ({ socket }) => socket.write(half), 'parley_inbox_bytes');
    const closed = metric(await gateway.metrics(), 'parley_sessions_closed_total\\{reason="inbox_full"\\}');
    assert.equal(closed, HOLDERS - open.size);
    // They are told to come back later, and who is left may end what was begun.
    const refused = holders.find((holder) => !open.has(holder));
    assert.equal(await refused.closeCode(), 1013);
    for (const holder of open) holder.socket.destroy();
    await eventually(async () => (await held()) === 0, 'all to be given back');
});

promise('half_requests_of_all_connections_together_are_bounded', { of: stack }, async (t) => {
    const [gateway] = stack.gateways;
    const people = await talkersIn(t, freshRoom(), { options: { transports: ['polling'] } });
    const holders = range(1, HOLDERS).map(() => ({ socket: net.connect(gateway.port, '127.0.0.1') }));
    t.after(() => holders.forEach(({ socket }) => socket.destroy()));
    const head = `POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: a\r\nContent-Length: ${longest.length}\r\n\r\n`;
    const begin = ({ socket }) => socket.write(head + longest.slice(0, BEGUN_BYTES));
    const { held } = await holdAndTalk(holders, people, begin, 'parley_http_input_bytes');
    assert.ok(metric(await gateway.metrics(), 'parley_requests_cut_total') > 0);
    for (const { socket } of holders) socket.destroy();
    await eventually(async () => (await held()) === 0, 'all to be given back');
});
