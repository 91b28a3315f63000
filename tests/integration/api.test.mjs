/**
 * The server API: what an application's server asks of Parley, and that its OpenAPI document says what it does.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { checkAgainst } from './harness/openapi.mjs';
import { range, someone, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { TokenKey, inSeconds } from './harness/tokens.mjs';
import { eventually, within } from './harness/wait.mjs';

const KEY = 'a-key-that-nobody-guesses';
const stack = ownStack({ gateways: 2, storeEnv: { API_KEY: KEY } });

const key = new TokenKey('ES256', 'k');
const folder = mkdtempSync(path.join(tmpdir(), 'parley-keys-'));
after(() => rmSync(folder, { recursive: true }));
const keysFile = path.join(folder, 'keys.pem');
writeFileSync(keysFile, key.pem);
const guarded = ownStack({ gateways: 2, stores: 2, storeEnv: { API_KEY: KEY }, gatewayEnv: { AUTH: 'jwt', JWT_KEYS_FILE: keysFile } });
const keyless = ownStack({ gateways: 1 });

/** "Within a second." */
const SOON_MS = 1000;

/** One call; its answer is held against the document. */
async function call(of, method, url, body, { authorization = `Bearer ${KEY}`, store = 0 } = {}) {
    const base = `${of.stores[store].adminUrl}/api/v1`;
    const answer = await fetch(base + url, {
        method,
        headers: { ...(authorization && { authorization }) },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const json = await answer.json();
    assert.equal(answer.headers.get('content-type'), 'application/json');
    const document = await (await fetch(`${base}/openapi.json`)).json();
    checkAgainst(document, method, url, answer.status, json);
    return { status: answer.status, ...json };
}
const say = (room, body, more) => call(stack, 'POST', `/rooms/${room}/messages`, body, more);
const read = (room, query = '') => call(stack, 'GET', `/rooms/${room}/messages${query}`);

promise('what_a_server_says_reaches_everybody_and_is_stored_once', { of: stack }, async (t) => {
    const room = freshRoom();
    const people = await Promise.all(stack.urls.map((url) => someoneIn(t, url, { room })));
    const clientId = randomUUID();
    const message = { sender: 'shop', content: 'Order "4711" was paid 🙂\n', clientId };
    assert.deepEqual(await say(room, message), { status: 201, id: '1', duplicate: false });
    for (const person of people) await within(person.hasSeen(1), 'the message', SOON_MS);
    assert.deepEqual(await say(room, message), { status: 200, id: '1', duplicate: true });
    assert.equal((await people[0].say('and a client')).id, '2');
    for (const person of people) {
        await person.hasSeen(2);
        person.sawExactly(1, 2);
        const [{ username, content, info }] = person.messages;
        assert.deepEqual([username, content, info.clientId], ['shop', message.content, clientId]);
    }
});

promise('many_at_once_among_clients_are_each_said_once', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const said = await Promise.all(range(1, 60).map((n) => (n % 2 ? say(room, { sender: 'shop', content: `${n}` }) : anna.say(`${n}`))));
    await anna.hasCounted(60);
    anna.sawExactly(1, 60);
    assert.deepEqual(said.map(({ id }) => Number(id)).sort((a, b) => a - b), range(1, 60));
});

promise('what_was_said_is_read_in_pages', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: 'Anna' } });
    await Promise.all(range(1, 250).map((n) => anna.say(`${n}`)));
    const newest = await read(room);
    assert.deepEqual([newest.messages.length, newest.messages[0].id, newest.head, newest.more], [100, '151', '250', true]);
    const first = await read(room, '?after=0&limit=200');
    assert.deepEqual([first.messages.length, first.messages.at(-1).id, first.more], [200, '200', true]);
    const rest = await read(room, '?after=200&limit=200');
    assert.deepEqual([rest.messages.map(({ id }) => Number(id)), rest.more], [range(201, 250), false]);
    const back = await read(room, '?before=3');
    assert.deepEqual([back.messages.map(({ content }) => content), back.more], [['1', '2'], false]);
    assert.deepEqual((await read(room, '?after=250')).messages, []);
    const { id, info, username } = anna.messages[0];
    assert.deepEqual(first.messages[0], { id, username, content: anna.contents[0], at: info.at, clientId: info.clientId });
    assert.equal((await read('nowhere-at-all')).status, 404);
});

promise('a_page_of_long_texts_is_shorter_and_says_so', { of: stack }, async (t) => {
    const room = freshRoom();
    for (const n of range(1, 20)) assert.equal((await say(room, { sender: 'shop', content: `${n}${'x'.repeat(65_000)}` })).status, 201);
    const { messages, more } = await read(room, '?after=0&limit=1000');
    assert.ok(messages.length >= 16 && messages.length < 20 && more);
    const rest = await read(room, `?after=${messages.at(-1).id}`);
    assert.deepEqual([...messages, ...rest.messages].map(({ id }) => Number(id)), range(1, 20));
});

promise('rooms_are_listed_with_heads_and_members_on_all_gateways', { of: stack }, async (t) => {
    const rooms = ['Z', 'a', 'b', 'c'].map((name) => freshRoom(`list-${name}`));
    for (const room of rooms) await say(room, { sender: 'shop', content: 'hello' });
    await Promise.all([0, 1, 1].map((i) => someoneIn(t, stack.urls[i], { room: rooms[2] })));
    const found = [];
    for (let more = true, last = 'list-'; more; ) {
        const page = await call(stack, 'GET', `/rooms?after=${last}&limit=2`);
        assert.equal(page.gateways, 2);
        found.push(...page.rooms.filter(({ name }) => rooms.includes(name)));
        more = page.more && page.rooms.length > 0;
        last = page.rooms.at(-1)?.name;
    }
    assert.deepEqual(found, rooms.map((name, i) => ({ name, head: '1', writable: true, members: i === 2 ? 3 : 0 })));
});

promise('in_a_closed_room_nobody_says_anything_new_and_all_can_read', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const clientId = randomUUID();
    await anna.say('before', clientId);
    assert.deepEqual(await call(stack, 'PATCH', `/rooms/${room}`, { writable: false }), { status: 200, name: room, writable: false });
    const refusal = await anna.say('too late');
    assert.deepEqual([refusal.status, refusal.code], ['error', 'forbidden']);
    assert.match(refusal.message, /closed for writing/);
    assert.deepEqual(await anna.say('before', clientId), { status: 'ok', id: '1', duplicate: true }, 'what is stored is stored');
    assert.equal((await say(room, { sender: 'shop', content: 'me too' })).status, 409);
    await assert.rejects(stack.rows('SELECT parley_publish($1, $2, $3)', [room, 'shop', 'me too']), /closed for writing/);
    // In one batch with others' rooms, those are not held up.
    const bert = await someoneIn(t, stack.urls[1], { room: freshRoom() });
    const all = await Promise.all(range(1, 50).map((n) => (n % 2 ? anna : bert).say(`${n}`)));
    assert.deepEqual(all.map(({ status }) => status), range(1, 50).map((n) => (n % 2 ? 'error' : 'ok')));
    const late = await someoneIn(t, stack.urls[1], { room, auth: { serverOffset: 0 } });
    await late.hasSeen(1);
    const [listed] = (await call(stack, 'GET', `/rooms?after=${room.slice(0, -1)}&limit=1`)).rooms;
    assert.deepEqual([listed.name, listed.writable], [room, false]);
    await call(stack, 'PATCH', `/rooms/${room}`, { writable: true });
    assert.equal((await anna.say('again')).id, '2');
    assert.equal((await call(stack, 'PATCH', '/rooms/nowhere-at-all', { writable: true })).status, 404);
});

promise('who_is_kicked_is_out_of_the_room_on_every_gateway_and_stays_out', { of: stack }, async (t) => {
    const [room, other] = [freshRoom(), freshRoom()];
    const here = await Promise.all(stack.urls.map((url) => someoneIn(t, url, { room, auth: { username: 'Eve' } })));
    const elsewhere = await someoneIn(t, stack.urls[0], { room: other, auth: { username: 'Eve' } });
    const bert = await someoneIn(t, stack.urls[0], { room, auth: { username: 'Bert', presence: true } });
    await bert.knowsPresent({ count: 3, names: ['Bert', 'Eve'] });
    assert.deepEqual(await call(stack, 'POST', '/kicks', { user: 'Eve', room }), { status: 200, members: 2, gateways: 2 });
    for (const person of here) {
        await within(person.left(), 'the end', SOON_MS);
        assert.deepEqual(person.leaves, ['io server disconnect']);
        assert.equal(person.socket.active, false);
    }
    await bert.knowsPresent({ count: 1, names: ['Bert'] }, 5000);
    assert.equal((await elsewhere.say('still here')).status, 'ok');
    assert.deepEqual(await call(stack, 'POST', '/kicks', { session: elsewhere.socket.id }), { status: 200, members: 1, gateways: 2 });
    await within(elsewhere.left(), 'the end', SOON_MS);
    assert.equal((await bert.say('and bert')).status, 'ok');
    assert.deepEqual(await call(stack, 'POST', '/kicks', { user: 'Nobody' }), { status: 200, members: 0, gateways: 2 });
});

promise('who_polls_is_kicked_too', { of: stack }, async (t) => {
    const room = freshRoom();
    const eve = await someoneIn(t, stack.urls[0], { room, auth: { username: 'Eve' }, options: { transports: ['polling'] } });
    await call(stack, 'POST', '/kicks', { user: 'Eve', room });
    await within(eve.left(), 'the end', SOON_MS);
    assert.deepEqual(eve.leaves, ['io server disconnect']);
});

promise('whose_tokens_are_revoked_is_put_out_within_a_second_and_comes_in_with_a_fresh_one_only', { of: guarded }, async (t) => {
    const room = freshRoom();
    const old = key.token({ sub: 'eve', iat: inSeconds(-60), jti: 'one' });
    let token = old;
    const eve = await Promise.all(guarded.urls.map((url) => someoneIn(t, url, { room, auth: (give) => give({ token }) })));
    const bert = await someoneIn(t, guarded.urls[0], { room, auth: { token: key.token({ sub: 'bert' }) } });
    const began = Date.now();
    const { status, members, gateways } = await call(guarded, 'POST', '/revocations', { user: 'eve' });
    assert.deepEqual([status, members, gateways], [200, 2, 2]);
    for (const person of eve) await person.left();
    assert.ok(Date.now() - began < SOON_MS, `${Date.now() - began} ms`);
    // She comes back with the old token, again and again, and is not let in; at a gateway that was not there, for a second at most.
    await guarded.gateways[1].kill();
    await guarded.gateways[1].start();
    const late = someone(t, guarded.urls[1], { room, auth: { token: old } });
    const isOut = ({ socket }) => !socket.connected;
    await new Promise((resolve) => setTimeout(resolve, 2 * SOON_MS)); // nothing says that nobody comes in any more
    await eventually(() => [...eve, late].every(isOut), 'her to be out');
    const joins = eve.map((person) => person.joins.length);
    assert.equal(joins[0], 1, 'her gateway was there all the time');
    token = key.token({ sub: 'eve', iat: inSeconds(1) });
    for (const [i, person] of eve.entries()) {
        await person.until(() => person.joins.length > joins[i], 'her with a fresh token', 30_000);
        assert.equal((await person.say('back')).status, 'ok');
    }
    assert.ok(isOut(late));
    assert.deepEqual(bert.leaves, []);
});

promise('one_token_is_revoked_by_its_id', { of: guarded }, async (t) => {
    const room = freshRoom();
    const of = (jti) => ({ room, auth: { token: key.token({ sub: 'anna', jti }) } });
    const lost = await someoneIn(t, guarded.urls[0], of('lost'));
    const kept = await someoneIn(t, guarded.urls[1], of('kept'));
    await eventually(async () => (await call(guarded, 'POST', '/revocations', { tokenId: 'lost', seconds: 60 }, { store: 1 })).members >= 0, 'the call');
    await lost.left();
    lost.goHome();
    assert.equal((await kept.say('still here')).status, 'ok');
});

for (const [what, authorization] of [
    ['no_key', ''],
    ['a_wrong_key', 'Bearer a-key-that-nobody-guessed'],
    ['a_longer_key', `Bearer ${KEY}x`],
    ['a_key_of_another_kind', `Basic ${Buffer.from(`:${KEY}`).toString('base64')}`],
])
    promise(`with_${what}_nothing_is_said_and_nothing_read`, { of: stack }, async () => {
        const room = freshRoom();
        for (const [method, url, body] of [
            ['POST', `/rooms/${room}/messages`, { sender: 'a', content: 'b' }],
            ['GET', `/rooms/${room}/messages`],
            ['GET', '/rooms'],
            ['PATCH', `/rooms/${room}`, { writable: false }],
            ['POST', '/kicks', { user: 'a' }],
            ['POST', '/revocations', { user: 'a' }],
        ]) {
            const { status, code } = await call(stack, method, url, body, { authorization });
            assert.deepEqual([status, code], [401, 'unauthorized']);
        }
        assert.equal((await read(room)).status, 404);
    });

promise('without_a_key_in_the_settings_there_is_no_API', { of: keyless }, async () => {
    const { status, message } = await call(keyless, 'GET', '/rooms');
    assert.equal(status, 404);
    assert.match(message, /API_KEY/);
});

for (const [what, method, url, body, why] of [
    ['no_body', 'POST', '/rooms/lobby/messages', '', /no JSON/],
    ['half_a_body', 'POST', '/rooms/lobby/messages', '{"sender":', /no JSON/],
    ['an_array', 'POST', '/rooms/lobby/messages', '[]', /JSON object/],
    ['a_U+0000', 'POST', '/rooms/lobby/messages', '{"sender":"a","content":"\\u0000"}', /JSON that can be stored/],
    ['no_sender', 'POST', '/rooms/lobby/messages', { content: 'x' }, /1 to 64 characters/],
    ['a_sender_of_65', 'POST', '/rooms/lobby/messages', { sender: 'x'.repeat(65), content: 'x' }, /1 to 64 characters/],
    ['a_number_for_content', 'POST', '/rooms/lobby/messages', { sender: 'a', content: 7 }, /content must be a text/],
    ['no_content', 'POST', '/rooms/lobby/messages', { sender: 'a', content: '' }, /1 to 65536 bytes/],
    ['a_byte_too_many', 'POST', '/rooms/lobby/messages', { sender: 'a', content: 'x'.repeat(65_537) }, /1 to 65536 bytes/],
    ['a_misspelt_member', 'POST', '/rooms/lobby/messages', { sender: 'a', content: 'x', clientid: 'y' }, /'clientid'.*sender, content, clientId/],
    ['a_room_that_cannot_be', 'POST', '/rooms/-x/messages', { sender: 'a', content: 'x' }, /no room can be called/],
    ['a_limit_that_is_no_number', 'GET', '/rooms/lobby/messages?limit=x', undefined, /limit must be a whole number/],
    ['a_limit_of_1001', 'GET', '/rooms?limit=1001', undefined, /from 0 to 1000/],
    ['both_directions', 'GET', '/rooms/lobby/messages?after=1&before=2', undefined, /exclude each other/],
    ['a_query_that_is_not_known', 'GET', '/rooms?offset=1', undefined, /after, before and limit/],
    ['a_kick_of_nobody', 'POST', '/kicks', { room: 'lobby' }, /needs a user/],
    ['a_revocation_of_nobody', 'POST', '/revocations', {}, /either a user or a tokenId/],
    ['a_revocation_of_two', 'POST', '/revocations', { user: 'a', tokenId: 'b' }, /either a user or a tokenId/],
    ['a_revocation_for_ever', 'POST', '/revocations', { user: 'a', seconds: 1e12 }, /seconds must be/],
    ['a_change_to_maybe', 'PATCH', '/rooms/lobby', { writable: 'maybe' }, /true or false/],
])
    promise(`${what}_is_told_what_to_do`, { of: stack }, async () => {
        await say('lobby', { sender: 'a', content: 'so that there is one' });
        const { status, code, message } = await call(stack, method, url, body);
        assert.deepEqual([status, code], [400, 'invalid']);
        assert.match(message, why);
    });

promise('other_paths_and_methods_are_not_there', { of: stack }, async () => {
    for (const url of ['/', '/rooms/', '/rooms/lobby/messages/1', '/kick', '/rooms//messages/'])
        assert.equal((await call(stack, 'GET', url)).status, 404, url);
    for (const [method, url] of [['DELETE', '/rooms/lobby'], ['PUT', '/rooms/lobby/messages'], ['GET', '/kicks']])
        assert.equal((await call(stack, method, url)).status, 405, url);
});

promise('while_Postgres_is_away_calls_are_told_so_and_later_they_work', { of: stack }, async () => {
    const room = freshRoom();
    await stack.postgres.stop('immediate');
    try {
        const { status, code } = await say(room, { sender: 'shop', content: 'x', clientId: randomUUID() });
        assert.deepEqual([status, code], [503, 'unavailable']);
    } finally {
        await stack.postgres.start();
    }
    await eventually(async () => (await say(room, { sender: 'shop', content: 'x', clientId: 'a-client-id-of-16-bytes' })).status < 300, 'Postgres again');
    assert.equal((await read(room)).messages.at(-1).content, 'x');
});
