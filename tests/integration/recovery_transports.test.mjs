/**
 * `socket.recovered`, over each transport, after each way to lose a connection: exactly what was missed, once each.
 */
import assert from 'node:assert/strict';
import { WAYS } from './harness/client_matrix.mjs';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const GATEWAYS = 3;
const stack = ownStack({ gateways: GATEWAYS });

/**
 * Ways to lose a connection. Each has Bert's connection end, has `meanwhile` happen, and lets him come back to where
 * somebody is.
 *
 * @type {Record<string, (bert: import('./harness/person.mjs').Person, door: import('./harness/door.mjs').Door,
 *     meanwhile: () => Promise<void>) => Promise<void>>}
 */
const FAULTS = {
    async its_connection_was_dropped(bert, door, meanwhile) {
        door.leadTo(() => null);
        door.cut();
        await bert.left();
        await meanwhile();
        door.leadTo(() => stack.gateways[0].port);
        await bert.joined(2);
    },

    async its_connection_was_dropped_and_it_met_another_gateway(bert, door, meanwhile) {
        door.leadTo(() => null);
        door.cut();
        await bert.left();
        await meanwhile();
        door.leadTo(() => stack.gateways[1].port);
        await bert.joined(2);
    },

    async its_gateway_was_killed(bert, door, meanwhile) {
        door.leadTo(() => null);
        await stack.gateways[0].kill();
        await bert.left();
        await meanwhile();
        door.leadTo(() => stack.gateways[1].port);
        await bert.joined(2);
        await stack.gateways[0].start();
    },

    async its_gateway_was_killed_and_started_again(bert, door, meanwhile) {
        await stack.gateways[0].kill();
        await bert.left();
        await meanwhile();
        await stack.gateways[0].start();
        await bert.joined(2);
    },

    async all_gateways_were_restarted_one_by_one(bert, door, meanwhile) {
        // A client stays at its gateway while that runs, and goes to any of those that are ready when it does not.
        let at = stack.gateways[0];
        const ready = new Set(stack.gateways);
        door.leadTo(() => {
            if (!ready.has(at)) at = [...ready][0];
            return at.port;
        });
        for (const gateway of stack.gateways) {
            ready.delete(gateway);
            const lives = bert.joins.length;
            const isHis = at === gateway;
            await gateway.stop();
            await meanwhile();
            if (isHis) await bert.joined(lives + 1);
            await gateway.start();
            ready.add(gateway);
        }
        assert.ok(bert.joins.length >= 2);
    },

    async its_server_had_not_noticed_yet(bert, door, meanwhile) {
        await losesItsConnectionUnnoticed(bert, door, stack.gateways[0], meanwhile);
    },

    async its_server_had_not_noticed_yet_and_it_met_another_gateway(bert, door, meanwhile) {
        await losesItsConnectionUnnoticed(bert, door, stack.gateways[1], meanwhile);
    },
};

/** The old connection hangs, and gateway 0 goes on believing in it until the session is somewhere else. */
async function losesItsConnectionUnnoticed(bert, door, next, meanwhile) {
    const { child } = stack.gateways[0];
    const room = bert.socket.nsp.slice(1);
    const [, client] = await child.line(new RegExp(`event=member_joined .* room=${room} username=bert client=(\\d+) `));
    const gaveWay = new RegExp(`event=member_left .* room=${room} username=bert client=${client}$`);
    door.freeze();
    door.leadTo(() => null); // no goodbye gets through either
    bert.dropConnection();
    await bert.left();
    await meanwhile();
    assert.ok(!child.lines.some(({ text }) => gaveWay.test(text)), 'gateway 0 still holds it');
    door.leadTo(() => next.port);
    await bert.joined(2);
    await child.line(gaveWay);
}

/** How many messages had come over the connection before it was lost. */
const BEFORE = {
    after_some_events: 3,
    before_any_event: 0,
};

/** Says something through any gateway that runs: who speaks is not whom this is about. */
async function someoneSays(t, room, texts) {
    const { url } = stack.gateways.find((gateway) => gateway.child.isRunning);
    const someone = await someoneIn(t, url, { room, auth: { serverOffset: 0 } });
    for (const text of texts) assert.equal((await someone.say(text)).status, 'ok');
    someone.goHome();
}

/** Bert in a room behind a door to gateway 0, on the transport that his wishes end in. */
async function bertBehindADoor(t, room, [options, transport]) {
    const door = await stack.door(0);
    const wishes = { room, auth: { username: 'bert' }, options: { transports: undefined, ...options } };
    const bert = await someoneIn(t, door.url, wishes);
    await eventually(() => bert.socket.io.engine.transport.name === transport, `the transport ${transport}`);
    return { bert, door };
}

/** One session all the time, recovered each time; the messages 1..head, once each, in order, also what he says now. */
async function assertNothingWasLostOrRepeated(bert, head) {
    await bert.hasSeen(head);
    const own = await bert.say('and I am here again');
    assert.equal(own.id, String(head + 1));
    await bert.hasSeen(head + 1);
    bert.sawExactly(1, head + 1);
    assert.deepEqual(bert.gaps, []);
    assert.deepEqual(bert.refusals.filter(({ type }) => type !== 'TransportError'), [], 'no CONNECT_ERROR');
    assert.deepEqual(bert.joins.map((join) => join.recovered), [false, ...bert.joins.slice(1).map(() => true)]);
    assert.equal(new Set(bert.joins.map((join) => join.id)).size, 1, 'one session all the time');
}

for (const way of ['polling_only', 'websocket_only', 'its_defaults']) {
    for (const [fault, happens] of Object.entries(FAULTS))
        for (const [before, count] of Object.entries(BEFORE))
            promise(`client_with_${way}_recovers_${before}_though_${fault}`, { of: stack }, async (t) => {
                const room = freshRoom();
                const { bert, door } = await bertBehindADoor(t, room, WAYS[way]);
                await someoneSays(t, room, range(1, count).map((n) => `${n} before`));
                await bert.hasCounted(count);
                let head = count;
                await happens(bert, door, async () => {
                    await someoneSays(t, room, [`${++head} while he was away`, `${++head} while he was away`]);
                });
                await assertNothingWasLostOrRepeated(bert, head);
            });

    promise(`client_with_${way}_recovers_ten_times_in_a_row`, { of: stack }, async (t) => {
        const room = freshRoom();
        const { bert, door } = await bertBehindADoor(t, room, WAYS[way]);
        const anna = await someoneIn(t, stack.urls[2], { room });
        let head = 0;
        for (const round of range(1, 10)) {
            door.leadTo(() => null);
            door.cut();
            await bert.left(round);
            // In some rounds nothing is said while he is away, in some nothing while he is there.
            if (round % 3 !== 0) head = Number((await anna.say(`${round} while he is away`)).id);
            const { port } = stack.gateways[round % GATEWAYS];
            door.leadTo(() => port);
            assert.equal((await bert.joined(round + 1)).recovered, true, `round ${round}`);
            if (round % 4 !== 0) head = Number((await anna.say(`${round} while he is there`)).id);
        }
        await assertNothingWasLostOrRepeated(bert, head);
        assert.equal(bert.joins.length, 11);
    });
}
