/**
 * AUTH=jwt: who comes in, under which name, into which rooms and for how long is what a token says, and nothing else.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { Guest, OTHER } from './harness/guest.mjs';
import { Gateway } from './harness/parley.mjs';
import { someone, someoneIn } from './harness/person.mjs';
import { Polling, request } from './harness/polling.mjs';
import { promise } from './harness/promise.mjs';
import { RawWebSocket } from './harness/raw_websocket.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { TokenKey, forged, inSeconds, jwkSet } from './harness/tokens.mjs';

const ISSUER = 'https://issuer.example';
const AUDIENCE = 'chat';
const LEEWAY_S = 2;

const hs = new TokenKey('HS256', 'secret');
const rs = new TokenKey('RS256', 'rsa');
const es = new TokenKey('ES256', 'curve');
const ed = new TokenKey('EdDSA', 'edwards');
const PUBLIC = [hs, rs, es, ed];

const folder = mkdtempSync(path.join(tmpdir(), 'parley-keys-'));
after(() => rmSync(folder, { recursive: true }));
const file = (name, text) => {
    const at = path.join(folder, name);
    writeFileSync(`${at}.new`, text);
    renameSync(`${at}.new`, at); // so that nobody reads half of it
    return at;
};

const settings = {
    AUTH: 'jwt',
    JWT_KEYS_FILE: file('keys.json', jwkSet(...PUBLIC)),
    JWT_ISSUER: ISSUER,
    JWT_AUDIENCE: AUDIENCE,
    JWT_LEEWAY: `${LEEWAY_S}s`,
};
const stack = ownStack({ gateways: 2, gatewayEnv: settings });
const rotating = ownStack({
    gateways: 1,
    gatewayEnv: { ...settings, JWT_KEYS_FILE: file('rotating.json', jwkSet(rs)) },
});
const plain = ownStack({ gateways: 1, gatewayEnv: { AUTH: 'jwt', JWT_KEYS_FILE: file('one.pem', es.pem), JWT_SECRET: 'x'.repeat(32) } });

const claims = (sub, more = {}) => ({ iss: ISSUER, aud: AUDIENCE, sub, ...more });
const tokenOf = (sub, more) => es.token(claims(sub, more));

/** Someone with a token; the name that they give themselves says nothing. */
const holder = (token, more) => ({ auth: { username: 'Mallory', token, ...more } });

/** Waits until a CONNECT is refused for good, and returns why. */
async function refused(t, url, wishes) {
    const person = someone(t, url, wishes);
    await person.until(() => person.refusals.length > 0 || person.joins.length > 0, 'an answer to CONNECT');
    assert.deepEqual(person.joins, []);
    const [{ message, data }] = person.refusals;
    assert.equal(person.socket.active, false, 'the client does not try again');
    return { title: message, ...data };
}

/** Waits until a CONNECT is held and its connection closed without a word, so that the client comes back by itself. */
async function putOff(t, url, wishes) {
    const person = someone(t, url, wishes);
    let opened = 0;
    const closed = new Promise((resolve) => {
        person.socket.io.on('open', () => opened++);
        person.socket.io.on('close', (reason, details) => resolve({ reason, code: details?.context?.code ?? details?.code }));
    });
    const began = Date.now();
    const { reason } = await closed;
    assert.equal(reason, 'transport close');
    assert.ok(Date.now() - began >= 4900, 'not at once: it would come back without delay, again and again');
    assert.deepEqual([person.joins, person.refusals], [[], []]);
    await person.until(() => opened === 2, 'the client to come back');
    return person;
}

for (const key of PUBLIC)
    promise(`who_has_a_token_signed_by_${key.algorithm}_is_who_it_says`, { of: stack }, async (t) => {
        const room = freshRoom();
        const anna = await someoneIn(t, stack.urls[0], { room, ...holder(key.token(claims('anna'))) });
        const bert = await someoneIn(t, stack.urls[1], { room, ...holder(tokenOf('bert')) });
        assert.equal((await anna.say('hello')).status, 'ok');
        await bert.hasSeen(1);
        assert.equal(bert.messages[0].username, 'anna', 'and not what the client calls itself');
    });

promise('a_name_has_at_most_64_characters_and_comes_as_it_is', { of: stack }, async (t) => {
    const room = freshRoom();
    const name = `${'é'.repeat(63)}x`;
    const anna = await someoneIn(t, stack.urls[0], { room, ...holder(tokenOf(name)) });
    await anna.say('hello');
    await anna.hasSeen(1);
    assert.equal(anna.messages[0].username, name);
    for (const sub of [`${name}x`, '😀'.repeat(33), '', 'a\nb', '\ud800', 7, null, undefined]) {
        const { title, code } = await refused(t, stack.urls[0], { room, ...holder(tokenOf(sub)) });
        assert.deepEqual([title, code], ['Unauthorized', 'unauthorized']);
    }
});

const [, es_claims] = tokenOf('anna').split('.');
const parts = (token) => token.split('.');
for (const [what, token, why] of [
    ['no_token', () => undefined, /token is required/],
    ['a_token_that_is_no_text', () => ({ alg: 'none' }), /token is required/],
    ['a_token_of_more_than_8192_bytes', () => tokenOf('anna', { more: 'x'.repeat(8192) }), /token is required/],
    ['an_unsigned_token', () => forged({ alg: 'none' }, claims('anna', { exp: inSeconds(60) })), /algorithm is none of/],
    ['a_token_of_algorithm_None', () => forged({ alg: 'NoNe' }, claims('anna', { exp: inSeconds(60) })), /algorithm is none of/],
    ['a_token_without_algorithm', () => forged({}, claims('anna', { exp: inSeconds(60) })), /algorithm is none of/],
    ['a_token_without_signature', () => `${parts(tokenOf('anna')).slice(0, 2).join('.')}.`, /signature is wrong/],
    ['a_token_of_two_parts', () => parts(tokenOf('anna')).slice(0, 2).join('.'), /no signed JSON Web Token/],
    ['a_token_of_five_parts', () => `${tokenOf('anna')}.${es_claims}.x`, /no signed JSON Web Token/],
    ['a_token_that_is_no_token', () => 'open sesame'.replace(' ', '-'), /no signed JSON Web Token/],
    [
        'a_token_with_the_public_RSA_key_for_a_secret',
        () => {
            const input = forged({ alg: 'HS256' }, claims('anna', { exp: inSeconds(60) })).slice(0, -1);
            return `${input}.${createHmac('sha256', rs.pem).update(input).digest('base64url')}`;
        },
        /signature is wrong/,
    ],
    ['a_token_signed_by_another_key_of_that_name', () => new TokenKey('ES256', 'curve').token(claims('anna')), /signature is wrong/],
    ['a_token_that_names_another_algorithm_than_its_key', () => ed.token(claims('anna'), { alg: 'ES256' }), /signature is wrong/],
    [
        'a_token_whose_claims_were_changed',
        () => tokenOf('anna').replace(/\.[^.]+\./, `.${Buffer.from(JSON.stringify(claims('eve', { exp: inSeconds(60) }))).toString('base64url')}.`),
        /signature is wrong/,
    ],
    ['a_token_with_an_extension', () => es.token(claims('anna'), { crit: ['b64'], b64: false }), /extensions/],
    ['a_token_of_another_issuer', () => es.token({ ...claims('anna'), iss: 'https://other.example' }), /iss is not JWT_ISSUER/],
    ['a_token_without_issuer', () => es.token({ ...claims('anna'), iss: undefined }), /iss is not JWT_ISSUER/],
    ['a_token_for_another_audience', () => es.token({ ...claims('anna'), aud: ['shop', 'chat2'] }), /aud is not JWT_AUDIENCE/],
    ['a_token_without_audience', () => es.token({ ...claims('anna'), aud: undefined }), /aud is not JWT_AUDIENCE/],
    ['a_token_that_never_expires', () => tokenOf('anna', { exp: undefined }), /needs exp/],
    ['a_token_whose_end_is_a_text', () => tokenOf('anna', { exp: `${inSeconds(60)}` }), /no date/],
])
    promise(`${what}_is_refused_for_good`, { of: stack }, async (t) => {
        const { title, code, message } = await refused(t, stack.urls[0], { room: freshRoom(), ...holder(token()) });
        assert.deepEqual([title, code], ['Unauthorized', 'unauthorized']);
        assert.match(message, why);
    });

promise('the_longest_token_that_is_taken_has_8192_bytes', { of: stack }, async (t) => {
    const withPadding = (n) => tokenOf('anna', { more: 'x'.repeat(n) });
    let n = 5500;
    while (withPadding(n).length < 8190) n++;
    const token = [n, n + 1, n + 2].map(withPadding).filter(({ length }) => length <= 8192).at(-1);
    assert.ok(token.length > 8188, `${token.length}`);
    await someoneIn(t, stack.urls[0], { room: freshRoom(), ...holder(token) });
});

promise('clocks_may_differ_by_the_leeway_and_no_more', { of: stack }, async (t) => {
    const room = freshRoom();
    await someoneIn(t, stack.urls[0], { room, ...holder(tokenOf('anna', { exp: inSeconds(1 - LEEWAY_S) })) });
    await someoneIn(t, stack.urls[0], { room, ...holder(tokenOf('anna', { nbf: inSeconds(LEEWAY_S) })) });
    await Promise.all([
        putOff(t, stack.urls[0], { room, ...holder(tokenOf('anna', { exp: inSeconds(-LEEWAY_S) })) }),
        putOff(t, stack.urls[1], { room, ...holder(tokenOf('anna', { nbf: inSeconds(LEEWAY_S + 30) })) }),
        putOff(t, stack.urls[1], { room, ...holder(new TokenKey('ES256', 'yet-to-come').token(claims('anna'))) }),
    ]);
});

promise('who_comes_with_a_stale_token_and_then_a_fresh_one_is_in', { of: stack }, async (t) => {
    const tokens = [tokenOf('anna', { exp: inSeconds(-60) }), tokenOf('anna')];
    const anna = await someoneIn(t, stack.urls[0], { room: freshRoom(), auth: (give) => give({ token: tokens.shift() ?? tokenOf('anna') }) });
    assert.equal((await anna.say('in')).status, 'ok');
    assert.deepEqual(anna.refusals, []);
});

for (const transport of ['websocket', 'polling'])
    promise(`a_connection_over_${transport}_ends_with_its_token_and_goes_on_with_the_next`, { of: stack }, async (t) => {
        const room = freshRoom();
        const ends = [inSeconds(3 - LEEWAY_S), inSeconds(600)];
        const options = { transports: [transport] };
        const bert = await someoneIn(t, stack.urls[1], { room, ...holder(tokenOf('bert')) });
        const anna = await someoneIn(t, stack.urls[0], { room, options, auth: (give) => give({ token: tokenOf('anna', { exp: ends.shift() }) }) });
        await anna.say('one');
        await anna.left();
        assert.ok(Date.now() / 1000 >= inSeconds(0));
        assert.match(anna.leaves[0], /^transport (close|error)$/);
        await bert.say('while she is away');
        await anna.joined(2);
        assert.equal(anna.joins[1].recovered, true, 'the same session, since it is the same person');
        await anna.hasSeen(2);
        anna.sawExactly(1, 2);
        assert.deepEqual(anna.refusals, []);
    });

promise('a_token_that_ends_while_its_owner_is_there_ends_no_other', { of: stack }, async (t) => {
    const room = freshRoom();
    const bert = await someoneIn(t, stack.urls[0], { room, ...holder(tokenOf('bert')) });
    const anna = await someoneIn(t, stack.urls[0], { room, ...holder(tokenOf('anna', { exp: inSeconds(2 - LEEWAY_S) })) });
    await anna.left();
    anna.goHome();
    assert.equal((await bert.say('still here')).status, 'ok');
    assert.deepEqual(bert.leaves, []);
});

promise('a_room_that_the_token_does_not_open_cannot_be_joined_by_any_name_of_it', { of: stack }, async (t) => {
    const rooms = { read: ['lobby', 'team-*'], write: ['team-7'] };
    const token = tokenOf('anna', { rooms });
    for (const room of ['team-7', 'team-8', 'lobby']) await someoneIn(t, stack.urls[0], { room, ...holder(token) });
    for (const room of ['team', 'other', 'Team-7', 'a-team-7']) {
        const { title, code } = await refused(t, stack.urls[0], { room, ...holder(token) });
        assert.deepEqual([title, code], ['Forbidden', 'forbidden']);
    }
    for (const nothing of [[], {}, { write: ['*'] }, 'lobby', null, 7, [7], { read: '*' }]) {
        const { code } = await refused(t, stack.urls[0], { ...holder(tokenOf('anna', { rooms: nothing })) });
        assert.equal(code, 'forbidden', JSON.stringify(nothing));
    }
    await someoneIn(t, stack.urls[0], { ...holder(tokenOf('anna', { rooms: ['lob*'] })) });
});

promise('who_may_only_read_sees_all_and_says_nothing', { of: stack }, async (t) => {
    const room = freshRoom('team');
    const bert = await someoneIn(t, stack.urls[0], { room, ...holder(tokenOf('bert'), { presence: true }) });
    const anna = await someoneIn(t, stack.urls[0], { room, ...holder(tokenOf('anna', { rooms: { read: [room] } }), { presence: true }) });
    await bert.say('one');
    await anna.hasSeen(1);
    anna.type(true);
    const { status, code, message } = await anna.say('me too');
    assert.deepEqual([status, code], ['error', 'forbidden']);
    assert.match(message, /writing/);
    const history = await anna.socket.timeout(5000).emitWithAck('chat history', { limit: 10 });
    assert.deepEqual(history.messages.map(({ content }) => content), ['one']);
    assert.equal((await bert.say('two')).id, '2', 'nothing was stored in between');
    assert.deepEqual(bert.typings.filter(({ users }) => users.includes('anna')), []);
});

promise('nobody_goes_on_with_anothers_session', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, ...holder(tokenOf('anna'), { echo: false }) });
    await anna.say('mine');
    const pid = anna.socket._pid;
    assert.ok(pid);
    const eve = await someoneIn(t, stack.urls[1], { room, auth: { token: tokenOf('eve'), pid, offset: anna.socket._lastOffset, username: 'anna' } });
    assert.notEqual(eve.socket.id, anna.socket.id);
    assert.notEqual(eve.socket._pid, pid);
    await eve.say('hers');
    await anna.hasSeen(2);
    assert.equal(anna.messages.at(-1).username, 'eve');
    assert.deepEqual(anna.leaves, [], 'and anna is not put out by it');
});

promise('anothers_polling_session_cannot_be_used_by_way_of_any_gateway', { of: stack }, async (t) => {
    const room = freshRoom();
    const server = { url: stack.urls[0], path: '/socket.io/' };
    const anna = await Polling.join(t, server, `/${room},`, { token: tokenOf('anna') });
    assert.match(anna.reply, new RegExp(`^40/${room},`));
    const eve = await Polling.join(t, server, `/${room},`, { token: tokenOf('eve', { rooms: { read: ['*'] } }) });
    // Its id is secret but for the gateway's part: what is nearest to it is nobody's.
    const { sid } = anna.handshake;
    const near = [sid.slice(0, -1) + (sid.endsWith('A') ? 'B' : 'A'), sid.slice(0, -1), `${sid}A`, eve.handshake.sid.slice(0, 10) + sid.slice(10)];
    for (const url of stack.urls) {
        for (const guess of near.filter((id) => ![sid, eve.handshake.sid].includes(id))) {
            const target = `/socket.io/?EIO=4&transport=polling&sid=${guess}`;
            for (const method of ['GET', 'POST']) {
                const answer = await request(url, target, { method, body: method === 'POST' ? `41/${room},` : undefined });
                assert.deepEqual([answer.status, JSON.parse(answer.text).code], [400, 1], guess);
            }
            const websocket = await RawWebSocket.ask(t, url, target.replace('polling', 'websocket'));
            assert.match(websocket.answer, /^HTTP\/1\.1 400 /);
        }
        // Her own session, relayed or not, has her own rights, whatever she says.
        await eve.at(url).post(`42/${room},7["chat message","as anna","c1",{"username":"anna"}]`);
        assert.match(await eve.at(url).packet(), /forbidden/);
        assert.ok(await anna.at(url).isKnown());
    }
});

promise('a_session_that_moves_to_another_gateway_takes_its_rights_along', { of: stack }, async (t) => {
    const room = freshRoom();
    const token = tokenOf('anna', { rooms: { read: [room] }, exp: inSeconds(5 - LEEWAY_S) });
    const guest = await Guest.arrive(t, stack, { room, auth: { token } });
    const raw = await guest.at(OTHER).probed();
    raw.send('5');
    raw.send(guest.saying('not allowed'));
    await raw.textLike((text) => text.includes('forbidden'));
    await raw.ended();
});

promise('keys_change_without_a_restart_and_a_broken_file_changes_nothing', { of: rotating }, async (t) => {
    const [url] = rotating.urls;
    const gateway = rotating.gateways[0];
    const comesIn = async (key) => {
        const person = someone(t, url, { room: freshRoom(), ...holder(key.token(claims('anna'))) });
        await person.joined();
        person.goHome();
    };
    await comesIn(rs);
    file('rotating.json', jwkSet(rs, ed));
    await gateway.child.line(/event=token_keys_read .*keys=2/);
    await comesIn(ed);
    file('rotating.json', '{"keys":[');
    await gateway.child.line(/event=token_keys_refused .*not valid JSON/);
    await comesIn(rs);
    await comesIn(ed);
    file('rotating.json', jwkSet(ed));
    await gateway.child.line(/event=token_keys_read .*keys=1/);
    await comesIn(ed);
    const late = await refused(t, url, holder(rs.token(claims('anna'))));
    assert.equal(late.code, 'unauthorized');
});

promise('a_public_key_in_PEM_and_a_secret_do_without_ids', { of: plain }, async (t) => {
    const [url] = plain.urls;
    const shared = new TokenKey('HS256');
    shared.secret = Buffer.from('x'.repeat(32));
    for (const key of [es, shared]) await someoneIn(t, url, holder(key.token({ sub: 'anna' })));
    const { code } = await refused(t, url, holder(es.token({ sub: 'anna', aud: 'somebody else' })));
    assert.equal(code, 'unauthorized', 'a token for somebody else is none for us (RFC 7519, 4.1.3)');
});

const ended = async (env) => {
    const { PATH } = process.env;
    try {
        await promisify(execFile)(new Gateway('x', {}).binary, [], { env: { PATH, ...env }, timeout: 10_000 });
    } catch (error) {
        return error.stderr;
    }
    return 'it started';
};

for (const [what, env, why] of [
    ['jwt_without_a_key', { AUTH: 'jwt' }, /set JWT_KEYS_FILE or JWT_SECRET/],
    ['a_key_that_nobody_asks_for', { JWT_SECRET: 'x'.repeat(32) }, /set AUTH to jwt/],
    ['a_short_secret', { AUTH: 'jwt', JWT_SECRET: 'x'.repeat(31) }, /JWT_SECRET .*at least 32/],
    ['no_file', { AUTH: 'jwt', JWT_KEYS_FILE: '/nowhere' }, /JWT_KEYS_FILE is \/nowhere: No such file/],
    ['a_file_of_nothing', { AUTH: 'jwt', JWT_KEYS_FILE: file('empty', '') }, /neither a JWK Set nor a public key/],
    ['a_private_key', { AUTH: 'jwt', JWT_KEYS_FILE: file('private.pem', ed.privateKey.export({ format: 'pem', type: 'pkcs8' })) }, /private key/],
    ['a_private_JWK', { AUTH: 'jwt', JWT_KEYS_FILE: file('private.json', JSON.stringify(ed.privateKey.export({ format: 'jwk' }))) }, /private key/],
    ['a_weak_secret_in_a_file', { AUTH: 'jwt', JWT_KEYS_FILE: file('weak.json', '{"kty":"oct","k":"c2VjcmV0"}') }, /less than 32 bytes/],
    ['keys_for_something_else', { AUTH: 'jwt', JWT_KEYS_FILE: file('enc.json', JSON.stringify({ keys: [{ ...es.jwk, use: 'enc' }] })) }, /no key for/],
    ['a_point_that_is_on_no_curve', { AUTH: 'jwt', JWT_KEYS_FILE: file('point.json', JSON.stringify({ ...es.jwk, y: es.jwk.x })) }, /makes no sense/],
])
    test(`a_gateway_does_not_start_with_${what}`, async () => {
        assert.match(await ended(env), why);
    });
