/**
 * deploy/seccomp/parley.json: the services do all that they do under it, and what is not theirs to do is refused.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Authority } from './harness/certificates.mjs';
import { BIN_DIR } from './harness/parley.mjs';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';

const run = promisify(execFile);
const at = (file) => fileURLToPath(new URL(file, import.meta.url));
const UNDER = ['/usr/bin/python3', at('harness/under_seccomp.py'), at('../../deploy/seccomp/parley.json')];

/** A folder with programs that become ours under the profile. */
const folder = mkdtempSync(path.join(tmpdir(), 'parley-seccomp-'));
after(() => rmSync(folder, { recursive: true }));
for (const name of ['parley-gateway', 'parley-store']) {
    writeFileSync(path.join(folder, name), `#!/bin/sh\nexec ${UNDER.join(' ')} ${path.join(BIN_DIR, name)} "$@"\n`);
    chmodSync(path.join(folder, name), 0o755);
}
const authority = new Authority(folder);
const { certFile, keyFile } = authority.issue('gateway');
const stack = ownStack({ binDir: folder, gateways: 2, stores: 2, natsHost: 'localhost' });
const encrypted = ownStack({ binDir: folder, gateways: 1, gatewayEnv: { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile } });

promise('people_chat_and_come_back_under_the_profile', { of: stack }, async (t) => {
    const room = freshRoom();
    const people = [];
    for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']])
        for (const url of stack.urls) people.push(await someoneIn(t, url, { room, options: { transports } }));
    const say = (from, to) => Promise.all(range(from, to).map((n) => people[n % people.length].say(`${n}`)));
    await say(1, 60);
    for (const program of [...stack.gateways, ...stack.stores]) {
        await program.stop(); // drains
        await program.start();
    }
    for (const { child } of [stack.gateways[0], stack.stores[0]]) await child.end('SIGKILL');
    for (const program of [stack.gateways[0], stack.stores[0]]) await program.start();
    for (const person of people) await person.joined();
    await say(61, 120);
    for (const person of people) {
        await person.hasSeen(120);
        person.sawExactly(1, 120);
    }
});

promise('TLS_works_under_the_profile', { of: encrypted }, async (t) => {
    const url = encrypted.urls[0].replace('http:', 'https:');
    const anna = await someoneIn(t, url, { room: freshRoom(), options: { transports: ['websocket'], ca: authority.certificate } });
    assert.equal((await anna.say('hello')).status, 'ok');
});

promise('containers_ask_the_services_how_they_are_under_the_profile', { of: stack }, async () => {
    for (const { adminUrl, name } of [stack.gateways[0], stack.stores[0]]) {
        const program = path.join(folder, name.startsWith('gateway') ? 'parley-gateway' : 'parley-store');
        const env = { ADMIN_PORT: new URL(adminUrl).port };
        for (const question of ['--healthcheck', '--readycheck']) await run(program, [question], { env });
    }
});

promise('a_program_that_aborts_ends_by_that_under_the_profile', {}, async () => {
    const [command, ...args] = UNDER;
    const child = spawn(command, [...args, '/usr/bin/python3', '-c', 'import os; os.abort()'], { stdio: 'ignore' });
    const signal = await new Promise((resolve) => child.on('exit', (_, name) => resolve(name)));
    assert.equal(signal, 'SIGABRT');
});

promise('what_no_chat_needs_is_refused', {}, async () => {
    const refused = [
        ...['ptrace', 'process_vm_readv', 'process_vm_writev', 'pidfd_getfd', 'kcmp', 'perf_event_open', 'bpf', 'userfaultfd'],
        ...['mount', 'umount2', 'move_mount', 'fsopen', 'open_by_handle_at', 'pivot_root', 'chroot', 'unshare', 'setns'],
        ...['clone3', 'clone:0x10000000', 'clone:0x20000', 'fork', 'vfork', 'execveat', 'memfd_create', 'personality'],
        ...['keyctl', 'add_key', 'request_key', 'io_uring_setup', 'io_setup', 'init_module', 'finit_module', 'kexec_load', 'reboot'],
        ...['setuid', 'setgid', 'setresuid', 'capset', 'prctl', 'seccomp', 'chmod', 'fchmodat', 'chown', 'mknod', 'unlink', 'rename'],
        ...['kill', 'tkill', 'settimeofday', 'clock_settime', 'adjtimex', 'swapon', 'acct', 'quotactl', 'syslog', 'shmget', 'msgget'],
        ...['socket:17:3', 'socket:40:1', 'socketpair'], // packets, machines; AF_PACKET is how a host's traffic is read
    ];
    const [command, ...args] = UNDER;
    const { stdout } = await run(command, [...args, '--refuses', ...refused, 'socket:2:1', 'socket:10:1', 'close', 'read']);
    assert.deepEqual(stdout.trim().split('\n'), refused);
});
