/**
 * Two store-services share the rooms, and one of them is killed.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';

const PEOPLE = 20;
const MESSAGES_EACH = 500;

/** Sends of one person that wait for an acknowledgement at a time. */
const IN_FLIGHT_MAX = 8;

const stack = ownStack({ gateways: 2, stores: 2 });

promise(
    'no_acknowledged_message_is_lost_or_doubled_when_a_store_replica_dies',
    { of: stack, timeoutMs: 120_000 },
    async (t) => {
        const room = freshRoom();
        const people = await Promise.all(
            range(1, PEOPLE).map((n) =>
                someoneIn(t, stack.urls[n % 2], { room, auth: { username: `person ${n}`, serverOffset: 0 } }),
            ),
        );
        /** @type {Map<string, string>} id by client id */
        const acknowledged = new Map();
        const total = PEOPLE * MESSAGES_EACH;
        let fate = null;
        const onAcknowledged = (clientId, ack) => {
            acknowledged.set(clientId, ack.id);
            if (acknowledged.size === total / 2) fate = killAndRestart(stack.stores[0]);
        };
        await Promise.all(people.map((person) => sayAll(person, onAcknowledged)));
        await fate;
        assert.equal(acknowledged.size, total);

        for (const person of people) {
            await person.hasSeen(total);
            person.sawExactly(1, total);
        }
        const [first, ...others] = people.map((person) => person.messages.map(({ info }) => info.clientId));
        for (const other of others) assert.deepEqual(other, first, 'one order');

        const rows = await stack.rows(
            `SELECT m.id, m.client_id FROM messages m JOIN rooms r ON r.id = m.room_id WHERE r.name = $1 ORDER BY m.id`,
            [room],
        );
        assert.deepEqual(rows.map((row) => Number(row.id)), range(1, total), 'ids are contiguous');
        const stored = new Map(rows.map((row) => [String(row.client_id), String(row.id)]));
        assert.equal(stored.size, total, 'every client id once');
        for (const [clientId, id] of acknowledged) assert.equal(stored.get(clientId), id);
    },
);

/** Sends all of a person's messages, a few at a time; what is refused for now is sent again with its client id. */
async function sayAll(person, onAcknowledged) {
    const queue = range(1, MESSAGES_EACH).map((n) => ({ content: `${n}`, clientId: randomUUID() }));
    const byClientId = new Map(queue.map((message) => [message.clientId, message]));
    person.socket.on('chat error', ({ code, clientId }) => {
        assert.ok(['unavailable', 'overloaded'].includes(code), `only the weather may refuse: ${code}`);
        byClientId.get(clientId).again();
    });
    const sayOne = ({ content, clientId }) =>
        new Promise((resolve, reject) => {
            const once = () =>
                person.socket.emit('chat message', content, clientId, (ack) => {
                    if (ack.status !== 'ok') return reject(new Error(JSON.stringify(ack)));
                    onAcknowledged(clientId, ack);
                    return resolve();
                });
            byClientId.get(clientId).again = once;
            once();
        });
    const worker = async () => {
        for (let message = queue.shift(); message; message = queue.shift()) await sayOne(message);
    };
    await Promise.all(range(1, IN_FLIGHT_MAX).map(worker));
}

async function killAndRestart(store) {
    await store.kill();
    await store.start();
}

promise('a_room_goes_on_whichever_replica_is_killed', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    let id = 0;
    for (const store of [...stack.stores, ...stack.stores]) {
        await store.kill();
        assert.equal((await anna.say(`without ${store.name}`)).id, String(++id));
        await store.start();
        assert.equal((await anna.say(`with ${store.name}`)).id, String(++id));
    }
    anna.sawExactly(1, id);
});

promise('the_gateways_hold_what_is_said_while_no_replica_is_there', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    await anna.say('before');
    await Promise.all(stack.stores.map((store) => store.kill()));
    const acks = Promise.all(range(1, 10).map((n) => anna.say(`${n}`)));
    await Promise.all(stack.stores.map((store) => store.start()));
    assert.deepEqual((await acks).map((ack) => ack.id), range(2, 11).map(String), 'in the order of sending');
    anna.sawExactly(1, 11);
    assert.deepEqual(anna.errors, []);
});
