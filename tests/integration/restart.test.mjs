/**
 * Whatever is killed and started again: everything said is still there.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const stack = ownStack({ gateways: 2, stores: 2 });

promise('no_message_is_lost_when_a_gateway_dies', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: 'anna' } });
    const bert = await someoneIn(t, stack.urls[1], { room });
    const ids = range(1, 200).map(() => randomUUID());
    // Anna sends as a client with retries does: again with the same client id until it is acknowledged.
    const acks = new Map();
    const send = (n) =>
        anna.socket.timeout(2000).emit('chat message', `${n}`, ids[n], (error, ack) => {
            if (error) return send(n);
            assert.equal(ack.status, 'ok');
            acks.set(ids[n], ack.id);
            anna.changed();
            return undefined;
        });
    for (const n of ids.keys()) send(n);
    await stack.gateways[0].kill();
    await stack.gateways[0].start();
    await anna.until(() => acks.size === ids.length, () => `200 acknowledgements, of which ${acks.size} came`);

    for (const person of [anna, bert]) {
        await person.hasSeen(200);
        person.sawExactly(1, 200);
    }
    assert.deepEqual(new Set(bert.messages.map(({ info }) => info.clientId)), new Set(ids));
    for (const { id, info } of bert.messages) assert.equal(acks.get(info.clientId), id);
});

promise('a_gateway_that_is_asked_to_end_loses_nothing', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const bert = await someoneIn(t, stack.urls[1], { room });
    await Promise.all(range(1, 20).map((n) => anna.say(`${n}`)));
    assert.deepEqual(await stack.gateways[0].stop(), { code: 0, signal: null });
    await anna.left();
    await bert.say('21');
    await stack.gateways[0].start();
    assert.equal((await anna.joined(2)).recovered, true);
    await anna.hasSeen(21);
    anna.sawExactly(1, 21);
});

promise('a_store_that_is_asked_to_end_loses_nothing', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const sending = Promise.all(range(1, 200).map((n) => anna.say(`${n}`)));
    assert.deepEqual(await stack.stores[0].stop(), { code: 0, signal: null });
    for (const ack of await sending) assert.equal(ack.status, 'ok');
    anna.sawExactly(1, 200);
    await stack.stores[0].start();
});

promise('everything_said_is_still_there_after_every_process_was_killed', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: 'anna' } });
    const bert = await someoneIn(t, stack.urls[1], { room, auth: { username: 'bert' } });
    await Promise.all(range(1, 50).flatMap((n) => [anna.say(`a${n}`), bert.say(`b${n}`)]));
    await bert.hasSeen(100);
    const before = bert.messages.map(({ content, id, username, info }) => ({ content, id, username, info }));

    await Promise.all([...stack.gateways, ...stack.stores, stack.nats].map((program) => program.kill()));
    await stack.postgres.stop('immediate');
    await Promise.all([stack.postgres.start(), stack.nats.start()]);
    await Promise.all([...stack.gateways, ...stack.stores].map((program) => program.start()));

    // Those who were here resume; a newcomer reads all of it.
    for (const person of [anna, bert]) assert.equal((await person.joined(2)).recovered, true);
    const newcomer = await someoneIn(t, stack.urls[0], { room, auth: { serverOffset: 0 } });
    assert.equal((await bert.say('here we are again')).id, '101');
    for (const person of [anna, bert, newcomer]) {
        await person.hasSeen(101);
        person.sawExactly(1, 101);
    }
    const after = newcomer.messages.slice(0, 100);
    assert.deepEqual(after.map(({ content, id, username, info }) => ({ content, id, username, info })), before);
});

for (const [how, hide, show] of [
    ['', (door) => door.shut(), (door) => door.reopen()],
    // Docker's proxy, or a load balancer, takes connections before the server behind it is there, and resets them.
    ['_behind_a_proxy', async () => {}, async () => {}],
]) {
    promise(`programs_may_start_before_what_they_need${how}`, { of: stack }, async (t) => {
        const programs = [...stack.gateways, ...stack.stores];
        await Promise.all([...programs, stack.nats].map((program) => program.kill()));
        await stack.postgres.stop();
        await hide(stack.nats.door);
        await Promise.all(programs.map((program) => program.launch()));
        for (const { adminUrl } of programs) {
            assert.equal((await fetch(`${adminUrl}/healthz`)).status, 200);
            assert.equal((await fetch(`${adminUrl}/readyz`)).status, 503);
        }
        await stack.postgres.start();
        await stack.nats.start();
        await show(stack.nats.door);
        await Promise.all(programs.map((program) => program.ready()));
        const anna = await someoneIn(t, stack.urls[0], { room: freshRoom() });
        assert.equal((await anna.say('hello')).id, '1');
    });
}

promise('a_store_serves_when_NATS_comes_while_postgres_is_away', { of: stack }, async (t) => {
    await Promise.all(stack.stores.map((store) => store.kill()));
    await stack.nats.kill();
    const [store] = stack.stores;
    await store.launch();
    const lanes = () => store.metrics().then((text) => Number(text.match(/^parley_store_postgres_connected_lanes (\d+)$/m)[1]));
    await eventually(async () => (await lanes()) > 0, 'the store to find Postgres');
    await stack.postgres.stop();
    await eventually(async () => (await lanes()) === 0, 'the store to lose Postgres');
    await stack.nats.start();
    await store.child.line(/^event=nats_connected /);
    await stack.postgres.start();
    await store.ready();
    const anna = await someoneIn(t, stack.urls[0], { room: freshRoom() });
    assert.equal((await anna.say('hello')).id, '1');
    await Promise.all(stack.stores.slice(1).map((other) => other.start()));
});
