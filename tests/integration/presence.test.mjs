/**
 * Who is here, and who types: told over all gateways to whoever asks, never stored, and gone by itself.
 */
import assert from 'node:assert/strict';
import { someone, someoneIn, range } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { PATIENCE } from './harness/wait.mjs';

const REFRESH_MS = 1000;

/** What the documentation states: three refreshes; and a second until it is told, and a bit. */
const GONE_MS = 3 * REFRESH_MS + 1500 * PATIENCE;

/** Likewise of one that types and says no more. */
const TYPING_MS = 6000 + 1500 * PATIENCE;

const stack = ownStack({ gatewayEnv: { PRESENCE_REFRESH: `${REFRESH_MS}ms` } });

const asking = (username) => ({ username, presence: true });

promise('who_asks_hears_who_comes_and_goes_on_either_gateway', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: asking('anna') });
    await anna.knowsPresent({ count: 1, names: ['anna'] });
    const bert = await someoneIn(t, stack.urls[1], { room, auth: asking('bert') });
    await bert.knowsPresent({ count: 2, names: ['anna', 'bert'] });
    await anna.knowsPresent({ count: 2, names: ['anna', 'bert'] });

    // The same name twice is one name and two members; who does not ask counts.
    const other = await someoneIn(t, stack.urls[1], { room, auth: { username: 'anna' } });
    await anna.knowsPresent({ count: 3, names: ['anna', 'bert'] });
    other.goHome();
    bert.goHome();
    await anna.knowsPresent({ count: 1, names: ['anna'] });
});

promise('who_does_not_ask_hears_nothing_new', { of: stack }, async (t) => {
    const room = freshRoom();
    const bert = await someoneIn(t, stack.urls[1], { room, auth: { username: 'bert' } });
    const names = [];
    bert.socket.onAny((name) => names.push(name));
    const anna = await someoneIn(t, stack.urls[0], { room, auth: asking('anna') });
    await anna.knowsPresent({ count: 2, names: ['anna', 'bert'] });
    const cara = await someoneIn(t, stack.urls[1], { room, auth: asking('cara') });
    anna.type(true);
    await cara.knowsTyping(['anna']);
    await anna.say('hello');
    await bert.hasSeen(1);
    assert.deepEqual(names, ['chat message']);
});

promise('who_types_is_shown_to_the_others_on_either_gateway_until_it_ends', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: asking('anna') });
    const bert = await someoneIn(t, stack.urls[1], { room, auth: asking('bert') });
    await anna.knowsPresent({ count: 2, names: ['anna', 'bert'] });

    anna.type(true);
    await bert.knowsTyping(['anna']);
    bert.type(true);
    await anna.knowsTyping(['bert']);

    bert.type(false);
    await anna.knowsTyping([]);
    await anna.say('hello'); // which ends it
    await bert.knowsTyping([]);

    anna.type(true);
    await bert.knowsTyping(['anna']);
    await bert.knowsTyping([], 0, TYPING_MS); // as she says no more

    anna.type(true);
    await bert.knowsTyping(['anna']);
    anna.goHome();
    await bert.knowsTyping([]);
    assert.ok(anna.typings.every(({ users }) => !users.includes('anna')), 'nobody is told of itself');
});

promise('typing_without_sense_is_a_chat_error', { of: stack }, async (t) => {
    const anna = await someoneIn(t, stack.urls[0], { room: freshRoom(), auth: asking('anna') });
    anna.socket.emit('chat typing', 'yes');
    await anna.until(() => anna.errors.length > 0, 'an error');
    assert.equal(anna.errors[0].code, 'invalid_message');
});

promise('who_was_at_a_gateway_that_is_killed_is_gone_after_three_refreshes', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: asking('anna') });
    const stays = { auth: asking('bert'), options: { reconnection: false } };
    const bert = await someoneIn(t, stack.urls[1], { room, ...stays });
    await anna.knowsPresent({ count: 2, names: ['anna', 'bert'] });
    bert.type(true);
    await anna.knowsTyping(['bert']);

    await stack.gateways[1].kill();
    await anna.knowsPresent({ count: 1, names: ['anna'] }, GONE_MS);
    await anna.knowsTyping([], 0, TYPING_MS);
    await stack.gateways[1].start();
    const cara = await someoneIn(t, stack.urls[1], { room, auth: asking('cara') });
    await cara.knowsPresent({ count: 2, names: ['anna', 'cara'] });
    await anna.knowsPresent({ count: 2, names: ['anna', 'cara'] });
});

promise('who_was_at_a_gateway_that_is_stopped_is_gone_at_once', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: asking('anna') });
    await someoneIn(t, stack.urls[1], { room, auth: { username: 'bert' }, options: { reconnection: false } });
    await anna.knowsPresent({ count: 2, names: ['anna', 'bert'] });
    await stack.gateways[1].stop();
    const stopped = Date.now();
    await anna.knowsPresent({ count: 1, names: ['anna'] });
    assert.ok(Date.now() - stopped < 2000 * PATIENCE, 'before three refreshes are over');
    await stack.gateways[1].start();
});

promise('who_resumes_at_another_gateway_is_told_on', { of: stack }, async (t) => {
    const room = freshRoom();
    const door = await stack.door(0);
    const anna = await someoneIn(t, door.url, { room, auth: asking('anna') });
    const bert = await someoneIn(t, stack.urls[1], { room, auth: asking('bert') });
    await bert.knowsPresent({ count: 2, names: ['anna', 'bert'] });
    door.leadTo(() => stack.gateways[1].port);
    anna.dropConnection();
    await anna.joined(2);
    assert.ok(anna.joins[1].recovered);
    bert.type(true);
    await anna.knowsTyping(['bert']);
    await anna.knowsPresent({ count: 2, names: ['anna', 'bert'] });
});

promise('who_polls_and_upgrades_is_told_too', { of: stack }, async (t) => {
    const room = freshRoom();
    const options = { transports: ['polling'] };
    const anna = await someoneIn(t, stack.urls[0], { room, auth: asking('anna'), options });
    const bert = await someoneIn(t, stack.urls[1], { room, auth: asking('bert'), options: { transports: ['polling', 'websocket'] } });
    await anna.knowsPresent({ count: 2, names: ['anna', 'bert'] });
    await bert.knowsPresent({ count: 2, names: ['anna', 'bert'] });
    anna.type(true);
    await bert.knowsTyping(['anna']);
});

promise('in_a_room_of_more_than_200_who_is_here_is_a_count', { of: stack, timeoutMs: 120_000 }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: asking('anna') });
    const names = range(1, 199).map((n) => `p${String(n).padStart(3, '0')}`);
    const crowd = names.map((username, i) => someone(t, stack.urls[i % 2], { room, auth: { username } }));
    await Promise.all(crowd.map((person) => person.joined()));
    await anna.knowsPresent({ count: 200, names: ['anna', ...names] });
    const last = await someoneIn(t, stack.urls[1], { room, auth: { username: 'one too many' } });
    await anna.knowsPresent({ count: 201 });
    last.goHome();
    await anna.knowsPresent({ count: 200, names: ['anna', ...names] });
});

promise('without_nats_only_who_is_at_the_same_gateway_is_here_and_all_are_after', { of: stack, timeoutMs: 90_000 }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: asking('anna') });
    const bert = await someoneIn(t, stack.urls[1], { room, auth: asking('bert') });
    await anna.knowsPresent({ count: 2, names: ['anna', 'bert'] });
    await stack.nats.kill();
    await anna.knowsPresent({ count: 1, names: ['anna'] });
    await bert.knowsPresent({ count: 1, names: ['bert'] });
    await stack.nats.start();
    await anna.knowsPresent({ count: 2, names: ['anna', 'bert'] });
    await bert.knowsPresent({ count: 2, names: ['anna', 'bert'] });
});
