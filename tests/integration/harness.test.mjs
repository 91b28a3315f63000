/**
 * The harness itself: what every other test leans on. Needs Postgres and NATS, not Parley.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Child } from './harness/child.mjs';
import { Door } from './harness/door.mjs';
import { Nats } from './harness/nats.mjs';
import { Postgres } from './harness/postgres.mjs';
import { Changes, eventually, within } from './harness/wait.mjs';

test('a_wait_that_runs_out_says_what_it_waited_for', async () => {
    const changes = new Changes();
    await assert.rejects(changes.until(() => false, 'spring', 20), /waited in vain for spring/);
    await assert.rejects(within(new Promise(() => {}), 'summer', 20), /waited in vain for summer/);
    await assert.rejects(eventually(() => false, 'autumn', 20), /waited in vain for autumn/);
});

test('a_wait_ends_with_the_change_that_it_waited_for', async () => {
    const changes = new Changes();
    let value = 0;
    const waiting = changes.until(() => value === 2 && 'two', 'two');
    value = 1;
    changes.changed();
    value = 2;
    changes.changed();
    assert.equal(await waiting, 'two');
});

test('a_line_that_cannot_come_any_more_fails_at_once', async () => {
    const child = new Child('short', 'sh', ['-c', 'echo ready; exit 3']);
    await child.line(/ready/);
    await assert.rejects(child.line(/never/), /short ended \(status 3\)/);
    assert.match(child.fault(), /ended by itself/);
});

test('a_process_does_not_outlive_its_runner', async () => {
    const script = `
        import { Child } from ${JSON.stringify(new URL('./harness/child.mjs', import.meta.url).href)};
        const child = new Child('sleeper', 'sleep', ['600']);
        console.log(child.pid);`;
    const runner = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const pid = await new Promise((resolve) => runner.stdout.once('data', (text) => resolve(Number(text))));
    process.kill(pid, 0);
    runner.kill('SIGKILL');
    await eventually(() => {
        try {
            process.kill(pid, 0);
            return false;
        } catch (error) {
            return error.code === 'ESRCH';
        }
    }, 'the end of the runner\'s child');
});

test('a_door_leads_elsewhere_freezes_and_cuts', async (t) => {
    const servers = await Promise.all(['one', 'two'].map((name) => greeter(t, name)));
    const door = await Door.open(() => servers[0].address().port);
    t.after(() => door.close());

    const first = visitor(t, door);
    await first.until(() => first.text === 'one', 'the first greeting');
    door.leadTo(() => servers[1].address().port);
    const second = visitor(t, door);
    await second.until(() => second.text === 'two', 'the second greeting');

    door.freeze();
    first.socket.destroy();
    assert.equal(door.connectionCount, 2, 'the far side of a frozen passage stays');
    const third = visitor(t, door);
    await third.until(() => third.text === 'two', 'a greeting past the frozen ones');

    door.cut();
    await third.until(() => third.isClosed, 'the cut');
    door.leadTo(() => null);
    const fourth = visitor(t, door);
    await fourth.until(() => fourth.isClosed, 'a refusal');
    assert.equal(fourth.text, '');
});

test('postgres_can_be_frozen_crashed_and_started_again', async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), `parley-it-${process.pid}-`));
    const postgres = await Postgres.start(folder);
    t.after(async () => {
        await postgres.stop('immediate'); // first: a server that still runs would make files in it
        await rm(folder, { recursive: true, force: true });
    });
    await postgres.rows('CREATE TABLE t (n int)');
    await postgres.rows('INSERT INTO t VALUES (7)');

    await postgres.pause();
    const asked = postgres.rows('SELECT n FROM t');
    await assert.rejects(within(asked, 'an answer of a frozen server', 100), /in vain/);
    await postgres.resume();
    assert.deepEqual(await asked, [{ n: 7 }]);

    await postgres.stop('immediate');
    await postgres.start();
    assert.deepEqual(await postgres.rows('SELECT n FROM t'), [{ n: 7 }]);
});

test('nats_keeps_its_address_when_it_starts_again', async (t) => {
    const nats = await Nats.start();
    t.after(() => nats.stop());
    const { url } = nats;
    await nats.kill();
    await nats.start();
    assert.equal(nats.url, url);
    const visit = visitor(t, nats.door);
    await visit.until(() => visit.text.startsWith('INFO'), 'the greeting of NATS');
});

async function greeter(t, name) {
    const server = net.createServer((socket) => {
        socket.on('error', () => {});
        socket.write(name);
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    return server;
}

function visitor(t, door) {
    const visit = Object.assign(new Changes(), { text: '', isClosed: false });
    visit.socket = net.connect(door.port, '127.0.0.1');
    visit.socket.on('error', () => {});
    visit.socket.on('data', (data) => {
        visit.text += data;
        visit.changed();
    });
    visit.socket.on('close', () => {
        visit.isClosed = true;
        visit.changed();
    });
    t.after(() => visit.socket.destroy());
    return visit;
}
