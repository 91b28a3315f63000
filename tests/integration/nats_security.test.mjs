/**
 * NATS that knows who comes: each service with rights of its own (deploy/nats/nats.conf), passwords, and TLS.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { Authority } from './harness/certificates.mjs';
import { natsAccount } from './harness/nats_accounts.mjs';
import { Gateway, ROOT } from './harness/parley.mjs';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const PASSWORDS = { NATS_GATEWAY_PASSWORD: 'gateways-know-this', NATS_STORE_PASSWORD: 'stores-know-this' };
const KEY = 'a-key-that-nobody-guesses';

const folder = mkdtempSync(path.join(tmpdir(), 'parley-nats-'));
after(() => rmSync(folder, { recursive: true }));
const file = (name, text) => {
    writeFileSync(path.join(folder, name), text);
    return path.join(folder, name);
};
const CONFIG = path.join(ROOT, 'deploy/nats/nats.conf');

const as = (user, password, more) => ({ NATS_USER: user, NATS_PASSWORD_FILE: file(`${user}.password`, `${password}\n`), ...more });
const gatewayEnv = as('gateway', PASSWORDS.NATS_GATEWAY_PASSWORD);
const storeEnv = as('store', PASSWORDS.NATS_STORE_PASSWORD, { API_KEY: KEY });

const stack = ownStack({ gateways: 2, nats: { options: ['-c', CONFIG], env: PASSWORDS }, gatewayEnv, storeEnv });

const authority = new Authority(folder);
const server = authority.issue('server');
const client = authority.issue('client');
const tlsConfig = file('tls.conf', `${readFileSync(CONFIG, 'utf8')}\ntls { cert_file: "${server.certFile}", key_file: "${server.keyFile}", ca_file: "${authority.certFile}", verify: true }\n`);
const tlsEnv = { NATS_TLS_CA_FILE: authority.certFile, NATS_TLS_CERT_FILE: client.certFile, NATS_TLS_KEY_FILE: client.keyFile };
const secure = ownStack({
    gateways: 2,
    nats: { options: ['-c', tlsConfig], env: PASSWORDS },
    gatewayEnv: { ...gatewayEnv, ...tlsEnv },
    storeEnv: { ...storeEnv, ...tlsEnv },
    natsHost: 'localhost',
});

for (const [what, of] of [
    ['with_rights_of_their_own', stack],
    ['over_TLS_with_certificates', secure],
])
    promise(`services_${what}_do_all_that_a_chat_needs`, { of }, async (t) => {
        const room = freshRoom();
        const people = await Promise.all(of.urls.map((url, i) => someoneIn(t, url, { room, auth: { username: `user-${i}`, presence: true } })));
        await people[0].knowsPresent({ count: 2, names: ['user-0', 'user-1'] });
        await Promise.all(range(1, 50).map((n) => people[n % 2].say(`${n}`)));
        for (const person of people) {
            await person.hasSeen(50);
            person.sawExactly(1, 50);
        }
        people[1].type(true);
        await people[0].knowsTyping(['user-1']);
        // Polling through one gateway that is another's, and its upgrade there.
        const door = await of.door(0);
        let connections = 0;
        door.leadTo(() => of.gateways[connections++ % 2].port);
        const wanderer = await someoneIn(t, door.url, { room, auth: { serverOffset: 0 }, options: { transports: ['polling', 'websocket'] } });
        await eventually(() => wanderer.socket.io.engine.transport.name === 'websocket', 'the upgrade');
        await wanderer.say('from here and there');
        await people[0].hasSeen(51);
        wanderer.dropConnection();
        await wanderer.joined(2);
        assert.equal(wanderer.joins[1].recovered, true);
        await of.rows('SELECT parley_publish($1, $2, $3)', [room, 'sql', 'from SQL']);
        await people[1].hasSeen(52);
        const headers = { authorization: `Bearer ${KEY}` };
        const answer = await fetch(`${of.stores[0].adminUrl}/api/v1/kicks`, { method: 'POST', headers, body: JSON.stringify({ user: 'user-0' }) });
        assert.deepEqual(await answer.json(), { members: 1, gateways: 2 });
        await people[0].left();
        for (const { child } of [...of.gateways, ...of.stores])
            assert.deepEqual(child.lines.filter(({ text }) => /event=nats_error|Permissions/.test(text)), [], 'no right is missing');
    });

const TOKEN = 'who-says-this-comes-in';
const byToken = { NATS_TOKEN_FILE: file('token', `${TOKEN}\n`) };
const tokens = ownStack({ gateways: 1, nats: { options: ['--auth', TOKEN] }, gatewayEnv: byToken, storeEnv: byToken });

const account = natsAccount();
const byCredentials = { NATS_CREDENTIALS_FILE: file('user.creds', account.credentials) };
const credentials = ownStack({ gateways: 1, nats: { options: ['-c', file('operator.conf', account.config)] }, gatewayEnv: byCredentials, storeEnv: byCredentials });

for (const [what, of] of [
    ['a_token', tokens],
    ['credentials', credentials],
])
    promise(`services_with_${what}_come_to_a_NATS_that_asks_for_them_and_come_back`, { of }, async (t) => {
        const anna = await someoneIn(t, of.urls[0], { room: freshRoom() });
        assert.equal((await anna.say('hello')).status, 'ok');
        await of.nats.kill();
        await of.nats.start();
        assert.equal((await anna.say('hello again')).status, 'ok');
        const stranger = of.adopt(new Gateway('stranger', { NATS_URL: of.nats.url }));
        await stranger.launch();
        await stranger.child.line(/event=nats_not_there_yet .*Authentication/);
        await stranger.stop();
    });

/** Speaks NATS's own protocol as a user. Resolves to what the server says to these lines, behind a PING. */
function asUser(of, user, password, ...lines) {
    return new Promise((resolve, reject) => {
        const socket = net.connect(of.nats.door.port, '127.0.0.1');
        let heard = '';
        socket.on('data', (data) => {
            heard += data;
            if (heard.includes('PONG')) {
                socket.destroy();
                resolve(heard);
            }
        });
        socket.on('error', reject);
        socket.on('close', () => resolve(heard));
        socket.write(`CONNECT ${JSON.stringify({ verbose: false, user, pass: password, lang: 'test', version: '1' })}\r\n${lines.join('\r\n')}\r\nPING\r\n`);
    });
}

for (const [who, what, line] of [
    ['gateway', 'listens_to_what_is_appended', 'SUB parley.v1.append.7 1'],
    ['gateway', 'takes_appends_from_stores', 'SUB parley.v1.append.* store 1'],
    ['gateway', 'listens_to_everything', 'SUB > 1'],
    ['gateway', 'answers_an_append_in_place_of_a_store', 'PUB _INBOX.abcdefgh.a.1 1\r\nx'],
    ['gateway', 'answers_a_query_in_place_of_a_store', 'PUB _INBOX.abcdefgh.q.1 1\r\nx'],
    ['gateway', 'gives_orders_to_all_gateways', 'PUB parley.v1.control 1\r\nx'],
    ['store', 'listens_to_a_room', 'SUB parley.v1.room.lobby 1'],
    ['store', 'listens_to_appends_outside_of_its_group', 'SUB parley.v1.append.7 1'],
    ['store', 'asks_in_place_of_a_gateway', 'PUB parley.v1.append.7 1\r\nx'],
    ['store', 'says_who_is_here', 'PUB parley.v1.presence.lobby 1\r\nx'],
    ['store', 'listens_to_what_gateways_are_answered', 'SUB _INBOX.*.*.* 1'],
])
    promise(`a_${who}_that_${what}_is_refused`, { of: stack }, async () => {
        const password = PASSWORDS[`NATS_${who.toUpperCase()}_PASSWORD`];
        assert.match(await asUser(stack, who, password, line), /Permissions Violation/);
    });

promise('nobody_comes_to_NATS_without_a_password', { of: stack }, async () => {
    assert.match(await asUser(stack, 'gateway', 'guessed'), /Authorization Violation/);
});

promise('a_service_with_a_wrong_password_says_so_and_its_password_is_nowhere', { of: stack }, async () => {
    const gateway = stack.adopt(new Gateway('wrong', { NATS_URL: stack.nats.url, NATS_USER: 'gateway', NATS_PASSWORD: 'not-this-one', LOG_LEVEL: 'debug' }));
    await gateway.launch();
    await gateway.child.line(/event=nats_not_there_yet .*Authentication/);
    const { stdout } = await promisify(execFile)('ps', ['-ww', '-o', 'args=', '-p', `${gateway.child.pid}`]);
    assert.ok(!stdout.includes('not-this-one') && !(await gateway.metrics()).includes('not-this-one'));
    await gateway.stop();
    assert.ok(!JSON.stringify(gateway.child.lines).includes('not-this-one'));
});

promise('a_NATS_that_somebody_else_has_certified_is_not_spoken_to', { of: secure }, async () => {
    const other = new Authority(folder, 'another');
    const gateway = secure.adopt(new Gateway('distrustful', { ...gatewayEnv, ...tlsEnv, NATS_TLS_CA_FILE: other.certFile, NATS_URL: secure.nats.url.replace('127.0.0.1', 'localhost') }));
    await gateway.launch();
    await gateway.child.line(/event=nats_not_there_yet .*SSL/);
    await gateway.stop();
});

promise('a_NATS_whose_certificate_names_another_host_is_not_spoken_to', { of: secure }, async () => {
    const gateway = secure.adopt(new Gateway('careful', { ...gatewayEnv, ...tlsEnv, NATS_URL: secure.nats.url.replace('127.0.0.1', '127.0.0.2') }));
    await gateway.launch();
    await gateway.child.line(/event=nats_not_there_yet /);
    await gateway.stop();
});

for (const [what, env, why] of [
    ['a_user_without_password', { NATS_USER: 'gateway' }, /NATS_USER and NATS_PASSWORD belong together/],
    ['two_ways_to_say_who_it_is', { NATS_USER: 'a', NATS_PASSWORD: 'b', NATS_TOKEN: 'c' }, /exclude each other/],
    ['half_a_certificate', { NATS_TLS_CERT_FILE: client.certFile }, /NATS_TLS_CERT_FILE and NATS_TLS_KEY_FILE belong together/],
    ['a_CA_that_is_not_there', { NATS_TLS_CA_FILE: '/nowhere' }, /NATS_TLS_CA_FILE is \/nowhere/],
])
    test(`a_gateway_with_${what}_does_not_start`, async () => {
        const { PATH } = process.env;
        await assert.rejects(promisify(execFile)(new Gateway('x', {}).binary, [], { env: { PATH, ...env }, timeout: 10_000 }), ({ stderr }) => why.test(stderr));
    });
