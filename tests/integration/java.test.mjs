/**
 * The Socket.IO project's own Java client, from Maven Central: another language, without connection state recovery.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Child } from './harness/child.mjs';
import { Door } from './harness/door.mjs';
import { ownEcho } from './harness/echo.mjs';
import { ROOT } from './harness/parley.mjs';
import { someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { WAIT_MS } from './harness/wait.mjs';

const JARS = path.join(ROOT, '.cache/java');
const CLIENT = fileURLToPath(new URL('java/ChatClient.java', import.meta.url));
const skip = !existsSync(path.join(JARS, 'jars.sha256')) && `no ${JARS}: scripts/setup test`;

const WAYS = {
    its_defaults: [[], 'websocket'],
    polling_only: [['polling'], 'polling'],
    websocket_only: [['websocket'], 'websocket'],
};

const stack = ownStack({ gateways: 3, haproxy: true });
const echo = ownEcho('sio-echo');

/** Starts the client, which is compiled each time: that may take as long as all the rest. */
function start(t, ...args) {
    const java = new Child('java', 'java', ['-XX:TieredStopAtLevel=1', '-cp', path.join(JARS, '*'), CLIENT, ...args]);
    t.after(() => java.end('SIGKILL'));
    const line = (pattern) =>
        java.line(pattern, 2 * WAIT_MS).catch((error) => assert.fail(`${error.message}\n${java.text('err')}`));
    return { java, line, story: async () => JSON.parse((await line(/^\{.*\}$/))[0]) };
}

/** The client chats, loses its connection, and comes back to what it has missed. */
async function chatsAndComesBack(t, way, url, { lose, comeBack }) {
    const [transports, transport] = WAYS[way];
    const [room, other] = [freshRoom(), freshRoom()];
    const anna = await someoneIn(t, stack.urls[2], { room, auth: { username: 'anna' } });
    const { java, line, story } = start(t, 'chat', url, transport, room, other, ...transports);
    await line(/^said$/);
    await lose();
    await line(/^lost$/);
    assert.equal((await anna.say('missed')).id, '4');
    await comeBack();

    const told = await story();
    assert.equal(told.transport, transport);
    assert.deepEqual(told.refusals, [{ message: 'Invalid namespace' }]);
    const [one, two] = told.rooms;
    assert.deepEqual(
        one.messages.map(([content, id, username]) => [content, id, username]),
        [['thing 0', '1', 'java'], ['thing 1', '2', 'java'], ['thing 2', '3', 'java'], ['missed', '4', 'anna'], ['thing 3', '5', 'java']],
    );
    for (const [, id, , info, offset] of one.messages) {
        assert.deepEqual(Object.keys(info).sort(), ['at', 'clientId']);
        assert.match(offset, new RegExp(`^\\d+-${id}$`));
    }
    assert.deepEqual(one.acks, [1, 2, 3, 5].map((id) => [{ status: 'ok', id: String(id), duplicate: false }]));
    assert.deepEqual(two.messages.map(([content, id]) => [content, id]), [['elsewhere', '1'], ['elsewhere again', '2']]);
    assert.deepEqual(two.acks, [1, 2].map((id) => [{ status: 'ok', id: String(id), duplicate: false }]));
    assert.equal(told.history.status, 'ok');
    assert.equal(told.history.head, '5');
    assert.equal((await java.exited).code, 0);
    await anna.hasSeen(5);
    anna.sawExactly(1, 5);
}

for (const way of Object.keys(WAYS)) {
    promise(`the_Java_client_chats_and_comes_back_from_a_killed_gateway_with_${way}`, { of: stack, skip }, async (t) => {
        const door = await stack.door(0);
        await chatsAndComesBack(t, way, door.url, {
            lose: async () => {
                door.leadTo(() => null);
                await stack.gateways[0].kill();
            },
            comeBack: () => door.leadTo(() => stack.gateways[1].port),
        });
        await stack.gateways[0].start({ PORT: String(stack.gateways[0].port) });
    });

    promise(`the_Java_client_chats_and_comes_back_behind_haproxy_with_${way}`, { of: stack, skip }, async (t) => {
        const door = await Door.open(() => Number(new URL(stack.haproxy.url).port));
        t.after(() => door.close());
        await chatsAndComesBack(t, way, door.url, {
            lose: () => {
                const shut = door.shut();
                door.cut();
                return shut;
            },
            comeBack: () => door.reopen(),
        });
    });

    promise(`the_Java_client_sends_and_gets_text_and_binary_with_${way}`, { of: echo, skip }, async (t) => {
        const [transports, transport] = WAYS[way];
        const told = await start(t, 'echo', echo.url, transport, ...transports).story();
        assert.equal(told.transport, transport);
        assert.deepEqual(told.auths, [{ token: 'x' }, { token: 'x' }]);
        assert.deepEqual(told.refusals, [{ message: 'Invalid namespace' }]);
        const bytes = (length, first, last) => ({ bytes: length, first, last });
        const args = [1, 'zwei ü 😀', bytes(2, 1, 2), { deep: [bytes(2, 3, -1)] }, bytes(100_000, 7, 7)];
        for (const answers of [told.acks, told.backs]) for (const answer of answers) assert.deepEqual(answer, args);
        assert.ok(told.acks.length > 0 && told.acks.length === told.backs.length);
    });
}
