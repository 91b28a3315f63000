/**
 * Debian's python3-socketio: a client that shares no code with the reference's.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Child } from './harness/child.mjs';
import { someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { anyStack, freshRoom } from './harness/stack.mjs';
import { Door } from './harness/door.mjs';

/** Debian's own: another Python that comes first in PATH does not have its packages. */
const PYTHON = process.env.PARLEY_PYTHON ?? '/usr/bin/python3';
const CLIENT = fileURLToPath(new URL('python/chat_client.py', import.meta.url));
const noPython =
    spawnSync(PYTHON, ['-c', 'import socketio, websocket, aiohttp, requests']).status !== 0 &&
    `no python3-socketio for ${PYTHON}: scripts/setup test`;

const stack = anyStack();

for (const kind of ['sync', 'async'])
    for (const [way, transports, transport] of [
        ['its_defaults', [], 'websocket'],
        ['polling_only', ['polling'], 'polling'],
        ['websocket_only', ['websocket'], 'websocket'],
    ])
        promise(`the_${kind}_Python_client_chats_and_comes_back_with_${way}`, { skip: noPython }, async (t) => {
            const room = freshRoom();
            const anna = await someoneIn(t, stack.urls[1], { room });
            const door = await Door.open(() => Number(new URL(stack.urls[0]).port));
            t.after(() => door.close());
            const python = new Child('python', PYTHON, [CLIENT, kind, door.url, room, ...transports]);
            t.after(() => python.end('SIGKILL'));
            await python.line(/^said$/).catch((error) => assert.fail(`${error.message}\n${python.text('err')}`));
            await anna.hasSeen(3);
            /* Shut as well: between two polls a cut connection alone would just be made again, and nothing be lost. */
            const shut = door.shut();
            door.cut();
            await shut;
            await python.line(/^lost$/);
            await anna.say('from elsewhere');
            await door.reopen();
            const [line] = await python.line(/^\{.*\}$/).catch((error) => assert.fail(`${error.message}\n${python.text('err')}`));
            const told = JSON.parse(line);
            assert.equal(told.transport, transport);
            assert.deepEqual(told.acks.map(({ status, id }) => [status, id]), [['ok', '1'], ['ok', '2'], ['ok', '3'], ['ok', told.acks[3].id]]);
            await anna.hasSeen(5);
            assert.deepEqual(told.messages.map(({ content }) => content), anna.contents.slice(0, told.messages.length));
            assert.equal(told.messages[0].username, 'python');
            assert.equal((await python.exited).code, 0);
        });
