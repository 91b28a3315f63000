/**
 * More gateways, and fewer again, while people chat.
 */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { promise } from '../integration/harness/promise.mjs';
import { Crowd } from './harness/crowd.mjs';
import { isWell, up, url } from './harness/compose.mjs';

after(() => up());

/** Ids of the gateways that the balancer leads to, from as many handshakes: a session id begins with its gateway's. */
async function gatewaysBehindTheBalancer(handshakes) {
    const ids = new Set();
    for (let i = 0; i < handshakes; i++) {
        const answer = await fetch(`${url}/socket.io/?EIO=4&transport=polling`);
        assert.equal(answer.status, 200);
        ids.add(JSON.parse((await answer.text()).slice(1)).sid.slice(0, 8));
    }
    return ids;
}

promise('nothing_is_lost_and_nothing_comes_twice_while_gateways_come_and_go', { timeoutMs: 180_000 }, async (t) => {
    const old = await Crowd.gather(t, { people: 100, rooms: 5 });
    assert.equal((await gatewaysBehindTheBalancer(8)).size, 2);
    await up(4);
    await isWell({ gateway: 4 });
    assert.equal((await gatewaysBehindTheBalancer(16)).size, 4, 'the balancer leads to the new ones too');
    const young = await Crowd.gather(t, { people: 100, rooms: 5 }); // half of them on the new ones
    await old.isHeard();
    await up(2);
    await isWell({ gateway: 2 });
    assert.equal((await gatewaysBehindTheBalancer(8)).size, 2, 'the balancer has forgotten those that went');
    for (const crowd of [old, young]) {
        await crowd.isHeard();
        await crowd.sawAllOfIt();
    }
    assert.ok(young.comebacks > 0, 'some had to move');
    t.diagnostic(`${old.said + young.said} messages, ${young.comebacks} comebacks`);
});
