/**
 * Reading back and forth in a room's past.
 */
import assert from 'node:assert/strict';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { anyStack, freshRoom } from './harness/stack.mjs';

const stack = anyStack();

const HEAD = 620; // more than two pages of the store
const LIMIT_MAX = 100;

/** A room with a past, and someone on another gateway who has seen none of it. */
async function roomWithPast(t) {
    const room = freshRoom('past');
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: 'anna' } });
    await Promise.all(range(1, HEAD).map((n) => anna.say(`text ${n}`, `a-good-client-id-${n}`)));
    const reader = await someoneIn(t, stack.urls[1], { room, auth: { serverOffset: HEAD } });
    const ask = async (question) => {
        const answer = await reader.socket.timeout(10_000).emitWithAck('chat history', question);
        assert.equal(answer.status, 'ok', JSON.stringify(answer));
        return answer.messages;
    };
    return { ask, reader, anna };
}

const idsOf = (messages) => messages.map((message) => Number(message.id));

promise('history_is_read_both_ways_in_pages_that_fit_together', { timeoutMs: 90_000 }, async (t) => {
    const { ask, reader } = await roomWithPast(t);

    assert.deepEqual(idsOf(await ask({ before: 31, limit: 10 })), range(21, 30));
    assert.deepEqual(idsOf(await ask({ after: 31, limit: 10 })), range(32, 41));
    // Ids as they came with the messages: decimal strings.
    assert.deepEqual(idsOf(await ask({ before: '31', limit: 10 })), range(21, 30));
    assert.deepEqual(idsOf(await ask({ after: '0', limit: 3 })), range(1, 3));
    // Over the seams of the store's pages of 256.
    assert.deepEqual(idsOf(await ask({ before: 300, limit: 100 })), range(200, 299));
    assert.deepEqual(idsOf(await ask({ after: 500, limit: 50 })), range(501, 550));
    // At the ends.
    assert.deepEqual(idsOf(await ask({ before: 4, limit: 10 })), [1, 2, 3]);
    assert.deepEqual(idsOf(await ask({ before: 1, limit: 10 })), []);
    assert.deepEqual(idsOf(await ask({ after: HEAD - 2, limit: 10 })), [HEAD - 1, HEAD]);
    assert.deepEqual(idsOf(await ask({ after: HEAD, limit: 10 })), []);
    assert.deepEqual(idsOf(await ask({ limit: 5 })), range(HEAD - 4, HEAD));

    const backwards = [];
    for (let before = HEAD + 1; before > 1; before = idsOf(backwards)[0]) backwards.unshift(...(await ask({ before, limit: 77 })));
    assert.deepEqual(idsOf(backwards), range(1, HEAD));
    const forwards = [];
    for (let after = 0; after < HEAD; after = idsOf(forwards).at(-1)) forwards.push(...(await ask({ after, limit: 77 })));
    assert.deepEqual(forwards, backwards);

    const { at, ...rest } = forwards[16];
    assert.deepEqual(rest, { id: '17', content: 'text 17', username: 'anna', clientId: 'a-good-client-id-17' });
    assert.equal(typeof at, 'number');
    assert.deepEqual(reader.messages, [], 'history is no delivery');
});

promise('a_page_of_history_is_bounded', {}, async (t) => {
    const { ask } = await roomWithPast(t);
    for (const limit of [LIMIT_MAX + 1, 1_000_000, Number.MAX_SAFE_INTEGER]) {
        const messages = await ask({ before: 501, limit });
        assert.ok(messages.length <= LIMIT_MAX, `${messages.length} messages`);
        assert.equal(messages.at(-1).id, '500');
    }
});

promise('a_nonsense_question_is_answered_and_harms_nobody', {}, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    await anna.say('1');
    const questions = [null, 'all', 17, [], { before: -1 }, { before: {} }, { after: 1.5 }, { limit: 0 }, { limit: 'x' }, { before: 2, after: 1 }];
    for (const question of questions) {
        const answer = await anna.socket.timeout(10_000).emitWithAck('chat history', question);
        assert.ok(['ok', 'error'].includes(answer.status), JSON.stringify([question, answer]));
    }
    assert.equal((await anna.say('2')).id, '2');
    assert.equal(anna.joins.length, 1);
});
