/**
 * A cluster of two NATS servers, one of which is taken away as operators do it: in lame duck mode, in which it hands its
 * clients to the other one by one.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { Child } from './harness/child.mjs';
import { someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';

const stack = ownStack({ gateways: 2, stores: 2 });

/** The least that nats-server takes; it closes one client a second at most after the grace period. */
const LAME_DUCK = 'lame_duck_duration: "30s"\nlame_duck_grace_period: "1s"\n';

/** Has the stack's NATS, whose clients stay, be one of two. @returns {Promise<Child>} the other one */
async function makeCluster() {
    const config = stack.file('nats.conf');
    await writeFile(config, LAME_DUCK);
    const clustered = ['--cluster', 'nats://127.0.0.1:-1', '--cluster_name', 'parley'];
    await stack.nats.kill();
    await stack.nats.start(['--config', config, ...clustered]);
    const [, port] = await stack.nats.child.line(/Listening for route connections on 127\.0\.0\.1:(\d+)/);
    const other = new Child('nats-other', 'nats-server', [
        ...['-a', '127.0.0.1', '-p', '-1', '--routes', `nats://127.0.0.1:${port}`],
        ...clustered,
    ]);
    await other.line(/Route connection created/);
    return other;
}

promise('a_NATS_server_that_hands_its_connections_over_costs_nobody_a_message', { of: stack }, async (t) => {
    const other = await makeCluster();
    t.after(() => other.end('SIGKILL'));
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: 'anna' } });
    const bert = await someoneIn(t, stack.urls[1], { room });

    let said = 0;
    let isOver = false;
    const talk = (async () => {
        while (!isOver) assert.equal((await anna.say(`${++said}`)).status, 'ok');
    })();
    await bert.hasSeen(10);
    stack.nats.child.signal('SIGUSR2');
    await stack.nats.child.exited;
    const atItsEnd = said;
    await bert.hasSeen(atItsEnd + 10);
    isOver = true;
    await talk;
    await bert.hasSeen(said);
    bert.sawExactly(1, said);
    for (const person of [anna, bert]) {
        assert.equal(person.leaves.length, 0);
        assert.deepEqual(person.errors, []);
    }
});
