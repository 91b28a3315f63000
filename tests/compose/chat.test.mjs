/**
 * A page that is opened at the balancer's address, with nothing set up: the client's defaults poll first, and each request
 * may reach another gateway.
 */
import assert from 'node:assert/strict';
import { range, someoneIn } from '../integration/harness/person.mjs';
import { promise } from '../integration/harness/promise.mjs';
import { freshRoom } from '../integration/harness/stack.mjs';
import { eventually } from '../integration/harness/wait.mjs';
import { url } from './harness/compose.mjs';

const DEFAULTS = { transports: undefined, reconnectionDelay: undefined, reconnectionDelayMax: undefined };

promise('people_chat_through_the_balancer_with_the_clients_default_options', {}, async (t) => {
    const room = freshRoom();
    const people = await Promise.all(range(1, 20).map(() => someoneIn(t, url, { room, options: DEFAULTS })));
    await Promise.all(people.flatMap((person) => range(1, 5).map((n) => person.say(`${n}`))));
    for (const person of people) {
        await person.hasCounted(100);
        person.sawExactly(1, 100);
        assert.equal(person.joins.length, 1);
        await eventually(() => person.socket.io.engine.transport.name === 'websocket', 'an upgrade');
    }
});

promise('people_who_only_poll_chat_through_the_balancer', {}, async (t) => {
    const room = freshRoom();
    const options = { ...DEFAULTS, transports: ['polling'] };
    const people = await Promise.all(range(1, 10).map(() => someoneIn(t, url, { room, options })));
    await Promise.all(people.flatMap((person) => range(1, 5).map((n) => person.say(`${n}`))));
    for (const person of people) {
        await person.hasCounted(50);
        person.sawExactly(1, 50);
        assert.equal(person.joins.length, 1);
    }
});
