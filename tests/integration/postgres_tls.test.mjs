/**
 * Postgres over TLS, as DATABASE_URL says: sslmode, certificates of both sides.
 */
import assert from 'node:assert/strict';
import { chownSync, copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { Authority } from './harness/certificates.mjs';
import { Store } from './harness/parley.mjs';
import { someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';

const stack = ownStack({ gateways: 1 });
const folder = mkdtempSync(path.join(tmpdir(), 'parley-pg-tls-'));
after(() => rmSync(folder, { recursive: true }));

/** An address of the loopback that no other Postgres listens on: its port stays, which its socket's name has, too. */
const ADDRESS = `127.77.${(process.pid >> 8) & 255}.${process.pid & 255}`;

/** Has the stack's Postgres speak TLS over TCP, with a certificate that the authority has signed. */
async function speakTls(authority) {
    const { postgres } = stack;
    const server = authority.issue('postgres');
    const owner = statSync(postgres.data);
    for (const [setting, from] of Object.entries({ ssl_cert_file: server.certFile, ssl_key_file: server.keyFile, ssl_ca_file: authority.certFile })) {
        const to = path.join(postgres.data, `${setting}.pem`);
        copyFileSync(from, to);
        chownSync(to, owner.uid, owner.gid);
        await postgres.set(setting, to);
    }
    for (const [name, value] of Object.entries({ ssl: 'on', listen_addresses: ADDRESS })) await postgres.set(name, value);
    await postgres.stop();
    await postgres.start();
}

promise('a_store_that_verifies_the_server_s_certificate_works_and_another_one_does_not_speak', { of: stack }, async (t) => {
    const authority = new Authority(folder);
    await speakTls(authority);
    const url = (more) => `postgresql://parley@localhost/parley?${new URLSearchParams({ hostaddr: ADDRESS, sslmode: 'verify-full', ...more })}`;
    await stack.stores[0].kill();
    const client = authority.issue('client', { subject: 'parley' });
    const store = stack.adopt(
        new Store('secure', { NATS_URL: stack.nats.url, DATABASE_URL: url({ sslrootcert: authority.certFile, sslcert: client.certFile, sslkey: client.keyFile }) }),
    );
    await store.start();
    const anna = await someoneIn(t, stack.urls[0], { room: freshRoom() });
    assert.equal((await anna.say('over TLS')).status, 'ok');
    const [{ encrypted }] = await stack.rows("SELECT bool_and(ssl) AS encrypted FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'parley-store%'");
    assert.equal(encrypted, true);

    const other = new Authority(folder, 'other');
    const distrustful = stack.adopt(new Store('distrustful', { NATS_URL: stack.nats.url, DATABASE_URL: url({ sslrootcert: other.certFile }) }));
    await distrustful.launch();
    await distrustful.child.line(/event=postgres_unreachable .*certificate verify failed/);
    await distrustful.stop();
});
