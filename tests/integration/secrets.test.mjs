/**
 * Secrets stay secret: not in logs, metrics, errors, or lists of processes.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { Gateway, Store } from './harness/parley.mjs';
import { someone, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { TokenKey } from './harness/tokens.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'parley-secrets-'));
after(() => rmSync(folder, { recursive: true }));
const file = (name, text) => {
    writeFileSync(path.join(folder, name), `${text}\n`, { mode: 0o600 });
    return path.join(folder, name);
};

/** All have this in them, and nothing else has. */
const MARK = 'c0ffee5ec2e7';
const SESSION_KEYS = `k:${MARK}${'0'.repeat(52)}`;
const JWT_SECRET = `${MARK}-and-some-more-so-that-it-is-long`;
const API_KEY = `${MARK}-of-the-api`;

const stack = ownStack({
    gateways: 1,
    gatewayEnv: { AUTH: 'jwt', LOG_LEVEL: 'debug', SESSION_KEYS: undefined, SESSION_KEYS_FILE: file('session', SESSION_KEYS), JWT_SECRET_FILE: file('jwt', JWT_SECRET) },
    storeEnv: { LOG_LEVEL: 'debug', API_KEY_FILE: file('api', API_KEY) },
});

const key = new TokenKey('HS256');
key.secret = Buffer.from(JWT_SECRET);

promise('secrets_from_files_work_and_are_told_to_nobody', { of: stack }, async (t) => {
    const [gateway, store] = [stack.gateways[0], stack.stores[0]];
    const token = key.token({ sub: 'anna', private: MARK });
    const anna = await someoneIn(t, stack.urls[0], { room: freshRoom(), auth: { token } });
    assert.equal((await anna.say('hello')).status, 'ok');
    const mallory = someone(t, stack.urls[0], { room: freshRoom(), auth: { token: `${token}x` } });
    await mallory.until(() => mallory.refusals.length > 0, 'a refusal');
    const api = (authorization) => fetch(`${store.adminUrl}/api/v1/rooms`, { headers: { authorization } });
    assert.equal((await api(`Bearer ${API_KEY}`)).status, 200);
    const refusal = await (await api(`Bearer ${API_KEY}x`)).text();
    const told = [refusal, JSON.stringify(mallory.refusals[0].data)];
    for (const program of [gateway, store]) {
        told.push(await program.metrics(), JSON.stringify(program.child.lines));
        const { stdout } = await promisify(execFile)('ps', ['-ww', '-o', 'args=', '-p', `${program.child.pid}`]);
        told.push(stdout);
    }
    for (const text of told) assert.ok(!text.includes(MARK) && !text.includes(token.split('.')[2]), text.slice(0, 200));
});

promise('passwords_in_addresses_are_told_to_nobody_while_they_work_and_when_they_do_not', { of: stack }, async () => {
    const { host } = new URL(stack.nats.url);
    const database = stack.postgres.url.replace('parley@', `parley:${MARK}@`);
    const nowhere = `postgresql://parley:${MARK}@127.0.0.1:1/parley`;
    const env = { NATS_URL: `nats://user:${MARK}@${host}`, LOG_LEVEL: 'debug' };
    const away = { NATS_URL: `nats://user:${MARK}@127.0.0.1:1`, LOG_LEVEL: 'debug' };
    for (const [program, line] of [
        [new Gateway('gateway-here', env), /event=nats_connected/],
        [new Gateway('gateway-away', away), /event=nats_not_there_yet/],
        [new Store('store-here', { ...env, DATABASE_URL: database }), /event=nats_connected/],
        [new Store('store-away', { ...away, DATABASE_URL: nowhere }), /event=nats_not_there_yet/],
        [new Store('store-without-database', { ...env, DATABASE_URL: nowhere }), /event=postgres_unreachable/],
    ]) {
        stack.adopt(program);
        await program.launch();
        await program.child.line(line);
        const { stdout } = await promisify(execFile)('ps', ['-ww', '-o', 'args=', '-p', `${program.child.pid}`]);
        const told = [stdout, await program.metrics()];
        await program.stop();
        for (const text of [...told, JSON.stringify(program.child.lines)]) assert.ok(!text.includes(MARK), text.slice(0, 200));
    }
});

for (const [what, Program, env, setting] of [
    ['session_keys', Gateway, { SESSION_KEYS: `k:${MARK}` }, /SESSION_KEYS/],
    ['a_token_secret', Gateway, { AUTH: 'jwt', JWT_SECRET: MARK }, /JWT_SECRET/],
    ['an_address_of_NATS_with_a_password', Gateway, { NATS_URL: `http://user:${MARK}@host` }, /NATS_URL/],
    ['an_address_of_a_database_with_a_password', Store, { DATABASE_URL: `postgresql://user:${MARK}@host:port/x?what=1` }, /DATABASE_URL/],
    ['an_API_key', Store, { API_KEY: MARK }, /API_KEY/],
    ['a_secret_that_is_set_twice', Gateway, { SESSION_KEYS, SESSION_KEYS_FILE: file('twice', SESSION_KEYS) }, /SESSION_KEYS/],
])
    test(`${what}_that_cannot_work_is_named_and_not_shown`, async () => {
        const { PATH } = process.env;
        await assert.rejects(promisify(execFile)(new Program('x', {}).binary, [], { env: { PATH, ...env }, timeout: 10_000 }), ({ stderr, stdout }) => {
            assert.match(stderr, setting);
            assert.ok(!`${stderr}${stdout}`.includes(MARK), stderr);
            return true;
        });
    });
