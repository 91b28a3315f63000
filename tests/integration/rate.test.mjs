/**
 * How fast one may talk: the defaults, at the limit and one past it.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { oneBrowser } from './harness/browser.mjs';
import { range, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';

/** Undefined: not set, so that the gateway's own defaults count. */
const stack = ownStack({ gatewayEnv: { CLIENT_RATE: undefined, ROOM_RATE: undefined } });
const slow = ownStack({ gateways: 1, gatewayEnv: { CLIENT_RATE: '2', RATE_BURST: '1s' } });
const perUser = ownStack({ gateways: 1, gatewayEnv: { USER_RATE: '2', RATE_BURST: '1s' } });
const perRoom = ownStack({ gateways: 1, gatewayEnv: { ROOM_RATE: '4', RATE_BURST: '1s' } });
const browser = oneBrowser();

/** The defaults: 20 a second, and what five seconds bring at once. */
const AT_ONCE = 100;
const INTERVAL_MS = 50;

promise('a_hundred_messages_at_once_are_taken_and_the_next_one_is_told_when', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: 'Anna' } });
    const bert = await someoneIn(t, stack.urls[0], { room, auth: { username: 'Bert' } });
    const acks = range(1, AT_ONCE).map((n) => anna.say(`${n}`));
    const clientId = randomUUID();
    let isAcknowledged = false;
    anna.say('too fast', clientId).then(() => (isAcknowledged = true));
    assert.ok((await Promise.all(acks)).every((ack) => ack.status === 'ok'));
    await anna.until(() => anna.errors.length > 0, () => 'a chat error');
    const [{ code, clientId: refused, retryAfter, message }] = anna.errors;
    assert.deepEqual([code, refused], ['rate_limited', clientId]);
    assert.ok(retryAfter > 0 && retryAfter <= INTERVAL_MS, `retryAfter ${retryAfter}`);
    assert.match(message, /again later/);
    // Nobody else is held up; and whoever waits as told gets through, once.
    assert.equal((await bert.say('at my own pace')).status, 'ok');
    await new Promise((resolve) => setTimeout(resolve, retryAfter));
    assert.equal((await anna.say('too fast', clientId)).status, 'ok');
    assert.equal(anna.errors.length, 1);
    await bert.hasSeen(AT_ONCE + 2);
    assert.equal(bert.contents.filter((content) => content === 'too fast').length, 1);
    assert.equal(isAcknowledged, false, 'what was refused for now is not acknowledged: a client would take that for success');
});

promise('the_page_waits_as_it_is_told_and_sends_all_in_order', { of: slow }, async (t) => {
    const room = freshRoom();
    const anna = await browser.visit(t, `${slow.urls[0]}/r/${room}`, 'Anna');
    const texts = range(1, 6).map((n) => `line ${n}`);
    for (const text of texts) await anna.write(text);
    await anna.sees(texts.at(-1));
    assert.deepEqual((await anna.messages()).map(({ content }) => content), texts);
});

promise('a_user_has_one_limit_however_many_tabs', { of: perUser }, async (t) => {
    const room = freshRoom();
    const [anna, tab, bert] = await Promise.all(
        ['Anna', 'Anna', 'Bert'].map((username) => someoneIn(t, perUser.urls[0], { room, auth: { username } })),
    );
    assert.equal((await anna.say('one')).status, 'ok');
    assert.equal((await tab.say('two')).status, 'ok');
    const clientId = randomUUID();
    tab.say('one too many', clientId);
    await tab.until(() => tab.errors.length > 0, () => 'a chat error');
    const [{ code, clientId: refused, retryAfter, message }] = tab.errors;
    assert.deepEqual([code, refused], ['rate_limited', clientId]);
    assert.match(message, /from one user/);
    assert.ok(retryAfter > 0 && retryAfter <= 500, `retryAfter ${retryAfter}`);
    assert.equal((await bert.say('at my own pace')).status, 'ok');
});

promise('a_room_has_one_limit_whoever_talks', { of: perRoom }, async (t) => {
    const room = freshRoom();
    const people = await Promise.all(range(1, 5).map(() => someoneIn(t, perRoom.urls[0], { room })));
    for (const person of people.slice(0, 4)) assert.equal((await person.say('hello')).status, 'ok');
    const [last] = people.slice(-1);
    const clientId = randomUUID();
    last.say('one too many', clientId);
    await last.until(() => last.errors.length > 0, () => 'a chat error');
    const [{ code, clientId: refused, retryAfter }] = last.errors;
    assert.deepEqual([code, refused], ['rate_limited', clientId]);
    assert.ok(retryAfter > 0 && retryAfter <= 250, `retryAfter ${retryAfter}`);
    const elsewhere = await someoneIn(t, perRoom.urls[0], { room: freshRoom() });
    assert.equal((await elsewhere.say('here is quiet')).status, 'ok');
});
