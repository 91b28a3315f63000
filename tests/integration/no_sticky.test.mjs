/**
 * No sticky sessions: three gateways behind a plain round-robin balancer, and the reference's own clients in front of it.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { Balancer, SERVED_BY } from './harness/balancer.mjs';
import { nobodyIsLeft } from './harness/guest.mjs';
import { CLIENTS, Person, WAYS, range, someone, someoneIn } from './harness/person.mjs';
import { Polling, request } from './harness/polling.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const GATEWAYS = 3;
const stack = ownStack({ gateways: GATEWAYS, haproxy: true });

const gatewayUrls = () => stack.gateways.map(({ url }) => url);

const isOn = (person, name) => eventually(() => person.socket.io.engine.transport.name === name, `the transport ${name}`);

/** Someone whose options are the library's, but for these. */
const wishes = (room, options = {}, others = {}) => ({ room, ...others, options: { transports: undefined, ...options } });

/** Says something as often as it takes, with one client id: connections die meanwhile. */
async function sayForCertain(person, content) {
    const clientId = randomUUID();
    for (;;) {
        const ack = await person.socket.timeout(3000).emitWithAck('chat message', content, clientId).catch(() => null);
        if (ack) return ack;
    }
}

/** What stands for a metric in all gateways together. */
async function sum(name) {
    const texts = await Promise.all(stack.gateways.map((gateway) => gateway.metrics()));
    return texts.reduce((total, text) => total + Number(text.match(new RegExp(`^${name} (\\d+)$`, 'm'))[1]), 0);
}

/** What everybody says arrives at everybody, in one order, once, and each sender's own in the order of sending. */
async function sawTheSame(people, count) {
    for (const person of people) {
        await person.hasCounted(count);
        assert.deepEqual(person.errors, []);
        person.sawExactly(1, count);
        assert.deepEqual(person.contents, people[0].contents);
        assert.equal(person.joins.length, 1, `no connection was lost: ${person.leaves}`);
    }
}

function keptTheSendersOrder(contents, sender, count) {
    assert.deepEqual(contents.filter((text) => text.startsWith(`${sender}:`)), range(1, count).map((n) => `${sender}:${n}`));
}

promise('haproxy_leads_each_request_of_one_connection_to_the_next_gateway', { of: stack }, async (t) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    const served = [];
    for (let i = 0; i < 2 * GATEWAYS; i++) {
        const answer = await request(stack.haproxy.url, '/socket.io/?EIO=4&transport=none', { agent });
        served.push(answer.headers[SERVED_BY]);
    }
    for (let i = 1; i < served.length; i++) assert.notEqual(served[i], served[i - 1]);
    assert.deepEqual(new Set(served), new Set(stack.gateways.map(({ name }) => name)));
});

promise('a_client_that_aborts_its_poll_ends_its_session_behind_haproxy', { of: stack }, async (t) => {
    const polling = await Polling.join(t, { url: stack.haproxy.url, path: '/socket.io/' });
    const waiting = polling.get();
    for (let i = 0; i < GATEWAYS; i++) assert.equal(await polling.isKnown(), true);
    waiting.abort();
    await eventually(async () => !(await polling.isKnown()), 'the session to be over', 2000);
});

for (const version of Object.keys(CLIENTS))
    for (const [way, [options, transport]] of Object.entries(WAYS))
        promise(`client_${version}_with_${way}_chats_and_recovers_behind_haproxy`, { of: stack }, async (t) => {
            const room = freshRoom();
            const anna = await someoneIn(t, stack.haproxy.url, wishes(room, options, { client: version }));
            const bert = await someoneIn(t, stack.urls[1], { room });
            assert.equal((await anna.say('one')).id, '1');
            assert.equal((await bert.say('two')).id, '2');
            await anna.hasSeen(2);
            await isOn(anna, transport);
            assert.equal((await anna.say('three')).id, '3');
            anna.socket.auth = { ...anna.socket.auth, serverOffset: anna.messages.at(-1).id }; // what 4.3 recovers by
            anna.dropConnection();
            await anna.left();
            await bert.say('four');
            await anna.joined(2);
            await bert.say('five');
            await anna.hasSeen(5);
            anna.sawExactly(1, 5);
            assert.deepEqual(anna.refusals, [], 'every connection was let in at once');
            if (version === 'newest') assert.equal(anna.joins[1].recovered, true);
            assert.equal((await anna.say('six')).id, '6');
        });

promise('clients_that_only_poll_chat_in_order_behind_haproxy_and_nothing_comes_twice', { of: stack }, async (t) => {
    const [room, count] = [freshRoom(), 200];
    const way = wishes(room, { transports: ['polling'] });
    const [anna, bert] = [await someoneIn(t, stack.haproxy.url, way), await someoneIn(t, stack.haproxy.url, way)];
    const acks = await Promise.all(range(1, count).flatMap((n) => [anna.say(`anna:${n}`), bert.say(`bert:${n}`)]));
    assert.deepEqual(acks.map(({ id }) => Number(id)).sort((a, b) => a - b), range(1, 2 * count));
    await sawTheSame([anna, bert], 2 * count);
    for (const name of ['anna', 'bert']) keptTheSendersOrder(anna.contents, name, count);
    // One after the other as well: each takes a GET and a POST or more, at a gateway each.
    for (const n of range(1, 20)) assert.equal((await anna.say(`anna again:${n}`)).id, String(2 * count + n));
    await sawTheSame([anna, bert], 2 * count + 20);
});

promise('twenty_clients_at_once_behind_haproxy_see_everything_in_one_order', { of: stack, timeoutMs: 120_000 }, async (t) => {
    const [room, count] = [freshRoom(), 50];
    const ways = Object.values(WAYS);
    const people = range(0, 19).map((i) =>
        someone(t, stack.haproxy.url, wishes(room, ways[i % ways.length][0], { auth: { serverOffset: 0 } })),
    );
    // From the very first moment on: much of it is said during the upgrades.
    const saying = people.flatMap((person, i) => range(1, count).map((n) => person.say(`${i}:${n}`)));
    const acks = await Promise.all(saying);
    assert.ok(acks.every(({ status }) => status === 'ok'));
    await sawTheSame(people, people.length * count);
    for (const i of people.keys()) keptTheSendersOrder(people[0].contents, i, count);
    for (const [i, person] of people.entries()) await isOn(person, ways[i % ways.length][1]);
});

for (const [what, get, post, websocket] of [
    ['everything_on_other_gateways_than_the_owner', 1, 2, 1],
    ['a_poll_on_the_owner_and_the_rest_elsewhere', 0, 1, 2],
    ['POSTs_on_the_owner_and_the_rest_elsewhere', 2, 0, 1],
    ['the_WebSocket_on_the_owner_and_the_rest_elsewhere', 1, 2, 0],
])
    for (const way of ['its_defaults', 'polling_only'])
        promise(`a_client_with_${way}_chats_with_${what}`, { of: stack }, async (t) => {
            const index = { GET: get, POST: post, websocket };
            const balancer = await Balancer.open(gatewayUrls, ({ sid, what: kind }) => (sid ? index[kind] : 0));
            const [room, count] = [freshRoom(), 100];
            const [options, transport] = WAYS[way];
            const anna = someone(t, balancer.url, wishes(room, options, { auth: { serverOffset: 0 } }));
            const bert = await someoneIn(t, stack.urls[1], { room, auth: { serverOffset: 0 } });
            const saying = range(1, count).flatMap((n) => [anna.say(`anna:${n}`), bert.say(`bert:${n}`)]);
            assert.ok((await Promise.all(saying)).every(({ status }) => status === 'ok'));
            await sawTheSame([bert, anna], 2 * count);
            keptTheSendersOrder(bert.contents, 'anna', count);
            await isOn(anna, transport);
            const told = anna.journal.filter(([kind]) => kind === 'message' || kind === 'ack').map(([kind, { id }]) => `${kind} ${id}`);
            for (const [at, entry] of told.entries())
                if (entry.startsWith('ack')) assert.ok(told.indexOf(entry.replace('ack', 'message')) < at, `${entry} behind the copy`);
            assert.ok(balancer.served.some(({ sid, index: to }) => sid && to !== 0), 'the session was asked for elsewhere');
            if (way === 'its_defaults') assert.deepEqual([...balancer.wentTo('websocket')], [websocket]);
        });

promise('nothing_is_lost_doubled_or_reordered_while_many_are_taken_over_under_load', { of: stack, timeoutMs: 120_000 }, async (t) => {
    const count = 60;
    let midway = 0;
    for (let round = 0; round < 3; round++) {
        const room = freshRoom();
        // The nth of each kind of request: a session's WebSocket comes somewhere else than its handshake went.
        const nth = { handshake: 0, GET: 0, POST: 0, websocket: 1 };
        const balancer = await Balancer.open(gatewayUrls, ({ sid, what }) => nth[sid ? what : 'handshake']++ % GATEWAYS);
        const people = range(0, 7).map(() => someone(t, balancer.url, wishes(room, {}, { auth: { serverOffset: 0 } })));
        for (const person of people) person.socket.io.engine.once('upgrade', () => (person.upgradedAt = person.messages.length));
        // As fast as each is told of the one before, and some without waiting.
        await Promise.all(
            people.map(async (person, i) => {
                for (const n of range(1, count / 2)) {
                    person.socket.emit('chat message', `${i}:${2 * n - 1}`);
                    await person.say(`${i}:${2 * n}`);
                }
            }),
        );
        await sawTheSame(people, people.length * count);
        for (const i of people.keys()) keptTheSendersOrder(people[0].contents, i, count);
        for (const person of people) await isOn(person, 'websocket');
        midway += people.filter(({ upgradedAt }) => upgradedAt < people.length * count).length;
        for (const person of people) person.goHome();
        assert.equal(balancer.wentTo('websocket').size, GATEWAYS);
    }
    assert.ok(midway > 12, `${midway} of 24 upgraded while they talked`);
});

for (const way of ['its_defaults', 'polling_only'])
    promise(`several_rooms_on_one_connection_with_${way}_go_on_behind_haproxy`, { of: stack }, async (t) => {
        const [options, transport] = WAYS[way];
        const rooms = range(1, 5).map(() => freshRoom());
        const anna = [await someoneIn(t, stack.haproxy.url, wishes(rooms[0], options))];
        const { io } = anna[0].socket;
        for (const room of rooms.slice(1)) anna.push(new Person(io.socket(`/${room}`, { auth: { username: 'anna' } })));
        t.after(() => anna.forEach((person) => person.goHome()));
        for (const person of anna) await person.joined();
        await isOn(anna[0], transport);
        for (const [i, room] of rooms.entries()) {
            const bert = await someoneIn(t, stack.urls[i % GATEWAYS], { room });
            assert.equal((await bert.say(`for room ${i}`)).id, '1');
            assert.equal((await anna[i].say(`in room ${i}`)).id, '2');
            await anna[i].hasSeen(2);
            anna[i].sawExactly(1, 2);
        }
    });

promise('who_asks_for_no_echo_gets_none_behind_haproxy', { of: stack }, async (t) => {
    for (const way of ['its_defaults', 'polling_only']) {
        const room = freshRoom();
        const [options, transport] = WAYS[way];
        const anna = await someoneIn(t, stack.haproxy.url, wishes(room, options, { auth: { echo: false } }));
        const bert = await someoneIn(t, stack.urls[0], { room });
        assert.equal((await anna.say('mine')).id, '1');
        await isOn(anna, transport);
        assert.equal((await anna.say('mine too')).id, '2');
        await bert.say('yours');
        await anna.hasSeen(3);
        assert.deepEqual(anna.ids, [3]);
    }
});

promise('a_page_that_is_closed_ends_its_session_behind_haproxy', { of: stack }, async (t) => {
    await eventually(async () => (await sum('parley_clients')) === 0, 'all others to have gone');
    const people = await Promise.all(
        Object.values(WAYS).map(([options]) => someoneIn(t, stack.haproxy.url, wishes(freshRoom(), options))),
    );
    await eventually(async () => (await sum('parley_clients')) === people.length, 'all to be counted once');
    for (const person of people) person.goHome();
    await eventually(async () => (await sum('parley_clients')) === 0, 'the sessions to be over');
});

for (const way of ['its_defaults', 'polling_only'])
    promise(`clients_with_${way}_recover_behind_haproxy_from_each_gateways_death_in_turn`, { of: stack, timeoutMs: 120_000 }, async (t) => {
        const room = freshRoom();
        const [options, transport] = WAYS[way];
        const people = await Promise.all(range(1, 6).map(() => someoneIn(t, stack.haproxy.url, wishes(room, options))));
        let said = 0;
        for (const gateway of stack.gateways) {
            for (const person of people) await isOn(person, transport);
            await sayForCertain(people[said % people.length], `${++said}`);
            await gateway.kill();
            // By whoever was on it, and by who was not.
            await Promise.all(people.map((person) => sayForCertain(person, `${++said}`)));
            await gateway.start({ PORT: String(gateway.port) });
        }
        for (const person of people) {
            await person.hasCounted(said);
            person.sawExactly(1, said);
            assert.deepEqual(new Set(person.contents), new Set(range(1, said).map(String)));
            for (const join of person.joins.slice(1)) assert.equal(join.recovered, true);
        }
    });

promise('a_rolling_restart_of_all_gateways_behind_haproxy_loses_nothing', { of: stack, timeoutMs: 120_000 }, async (t) => {
    const room = freshRoom();
    const ways = Object.values(WAYS);
    const people = await Promise.all(ways.map(([options]) => someoneIn(t, stack.haproxy.url, wishes(room, options))));
    let isRolling = true;
    const sent = new Set();
    const talk = async (person, i) => {
        for (let n = 1; isRolling || n <= 10; n++) {
            const text = `${i}:${n}`;
            await sayForCertain(person, text);
            sent.add(text);
        }
    };
    const talking = Promise.all(people.map(talk));
    for (const gateway of stack.gateways) {
        assert.deepEqual(await gateway.stop(), { code: 0, signal: null });
        await gateway.start({ PORT: String(gateway.port) });
        for (const person of people) await eventually(() => person.socket.connected, 'everyone to be back');
    }
    isRolling = false;
    await talking;
    for (const person of people) {
        await person.hasCounted(sent.size);
        person.sawExactly(1, sent.size);
        assert.deepEqual(new Set(person.contents), sent);
        for (const join of person.joins.slice(1)) assert.equal(join.recovered, true);
    }
});

promise('behind_all_of_this_no_session_is_left', { of: stack, timeoutMs: 120_000 }, () => nobodyIsLeft(stack));
