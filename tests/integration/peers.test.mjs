/**
 * What gateways say to each other, when it gets lost in part, is too much, or comes at a bad time.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { range, someoneIn } from './harness/person.mjs';
import { ANSWER, ASK, Peer } from './harness/peer.mjs';
import { Polling, request } from './harness/polling.mjs';
import { promise } from './harness/promise.mjs';
import { RawWebSocket } from './harness/raw_websocket.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const stack = ownStack({ gateways: 2 });
const small = ownStack({ gateways: 2, gatewayEnv: { CONNECTIONS_MAX: '2' } });
const PATH = '/socket.io/';

/** A GET for a session of a peer's. */
const poll = (url, sid) => request(url, `${PATH}?EIO=4&transport=polling&sid=${sid}`);

for (const [which, parts] of [
    ['first', [{ body: 'b"]', offset: 30 }]],
    ['middle', [{ body: (room) => `42/${room},["chat message","a`, more: true }, { body: 'b"]', offset: 100 }]],
])
    promise(`a_post_whose_${which}_part_was_lost_on_the_way_is_not_read`, { of: stack }, async (t) => {
        const room = freshRoom();
        const polling = await Polling.join(t, { url: stack.gateways[0].url, path: PATH }, `/${room},`);
        const { sid } = polling.handshake;
        const peer = await Peer.join(t, stack);
        let number;
        for (const { body, ...rest } of parts) {
            const text = typeof body === 'function' ? body(room) : body;
            number = peer.ask(sid, { number, type: ASK.post, session: sid, body: text, ...rest });
        }
        assert.equal((await peer.answer(number)).type, ANSWER.over);
        const bert = await someoneIn(t, stack.urls[1], { room });
        await bert.say('the first one');
        bert.sawExactly(1, 1);
    });

promise('an_answer_of_which_a_part_was_lost_on_the_way_is_none', { of: stack }, async (t) => {
    const peer = await Peer.join(t, stack);
    const sid = peer.sid();
    const waiting = poll(stack.gateways[0].url, sid);
    const { reply } = await peer.request(ASK.get);
    reply({ type: ANSWER.payload, body: '4a', more: true });
    reply({ type: ANSWER.payload, body: 'c', offset: 3 });
    assert.equal((await waiting).status, 400);
    assert.equal((await peer.request(ASK.cancel)).session, sid, 'the session is over');
});

/** More requests than one CHECK asks about, at the time that this was written. */
const MANY = 4096 + 100;

promise('a_gateway_asks_about_all_that_waits_for_a_peer', { of: stack }, async (t) => {
    const peer = await Peer.join(t, stack);
    const many = range(1, MANY).map(() => poll(stack.gateways[0].url, peer.sid()));
    t.after(() => many.forEach((one) => one.abort()));
    const asked = new Set();
    while (asked.size < MANY) {
        const { numbers, reply } = await peer.request(ASK.check);
        numbers.forEach((one) => asked.add(one));
        reply({ type: ANSWER.checked });
        assert.ok(peer.requests.every(({ type }) => type !== ASK.cancel), 'all are waited for');
    }
});

promise('a_peer_that_takes_longer_to_answer_than_until_it_is_asked_again_is_alive', { of: stack }, async (t) => {
    const peer = await Peer.join(t, stack);
    const waiting = poll(stack.gateways[0].url, peer.sid());
    const { reply } = await peer.request(ASK.get);
    let last = await peer.request(ASK.check);
    for (let rounds = 0; rounds < 8; rounds++) { // longer than a silent one is waited for
        const next = await peer.request(ASK.check);
        last.reply({ type: ANSWER.checked });
        last = next;
    }
    reply({ type: ANSWER.payload, body: '6' });
    assert.equal((await waiting).text, '6');
});

promise('a_gateway_that_ends_while_peers_and_clients_ask_ends_well', { of: stack }, async (t) => {
    const [, gateway] = stack.gateways;
    const peer = await Peer.join(t, stack);
    const polling = await Polling.open(t, { url: gateway.url, path: PATH });
    const { sid } = polling.handshake;
    const sockets = await Promise.all(range(1, 300).map(() => kept(t, gateway.port)));
    gateway.child.signal('SIGSTOP');
    const ending = gateway.stop();
    gateway.child.signal('SIGINT'); // the second one ends it at once
    for (const socket of sockets) socket.write(`GET ${PATH}?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n`);
    for (const _ of range(1, 3000)) peer.ask(sid, { type: ASK.post, session: sid, body: '3' });
    await peer.nats.flush();
    gateway.child.signal('SIGCONT');
    await ending;
    assert.equal(gateway.child.fault(), null);
    await gateway.start();
});

promise('sessions_on_their_way_to_a_gateway_count_there', { of: small }, async (t) => {
    const [owner, other] = small.gateways;
    await RawWebSocket.open(t, other.url);
    const [first, second] = [await Polling.open(t, { url: owner.url, path: PATH }), await Polling.open(t, { url: owner.url, path: PATH })];
    const raw = await first.at(other.url).probed();
    const refused = await second.at(other.url).websocket();
    assert.match(refused.answer, /^HTTP\/1\.1 503/);
    raw.socket.destroy();
    await eventually(async () => {
        const again = await second.at(other.url).websocket();
        return again.answer.startsWith('HTTP/1.1 101');
    }, 'the place to be free again');
});

/** A connection that has asked once, and is kept. */
async function kept(t, port) {
    const socket = net.connect(port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    socket.write('GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'data');
    return socket;
}
