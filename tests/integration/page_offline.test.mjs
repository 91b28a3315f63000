/**
 * The page while nothing answers: what is written then goes out later, once and in order, whatever happens to the page.
 */
import assert from 'node:assert/strict';
import { oneBrowser } from './harness/browser.mjs';
import { someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';

const stack = ownStack();
const browser = oneBrowser();

const pageOf = (index, room) => `${stack.urls[index]}/r/${room}`;

const WRITTEN = ['first', 'second', 'third'];

/** Waits until the browser has that many drafts; it takes them a moment after they appear. */
async function keeps(person, count) {
    await person.page.waitForFunction(async (expected) => {
        const opening = indexedDB.open('parley');
        await new Promise((resolve) => (opening.onsuccess = resolve));
        const counting = opening.result.transaction('drafts').objectStore('drafts').count();
        await new Promise((resolve) => (counting.onsuccess = resolve));
        opening.result.close();
        return counting.result === expected;
    }, count);
}

/** Somebody whose gateway has died, and who goes on writing. */
async function cutOff(t, room) {
    const anna = await browser.visit(t, pageOf(0, room), 'Anna');
    await anna.page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    await anna.write('before');
    await anna.sees('before');
    await stack.gateways[0].kill();
    await anna.is('connecting', 'offline');
    for (const text of WRITTEN) await anna.write(text);
    await keeps(anna, WRITTEN.length);
    return anna;
}

/** Everybody sees everything once, in the order of writing. */
async function arrivedOnce(witness, anna) {
    const expected = ['before', ...WRITTEN];
    await witness.hasCounted(expected.length);
    await anna.sees(WRITTEN.at(-1));
    assert.deepEqual(witness.contents, expected);
    const shown = (await anna.messages()).map(({ id, content }) => [id, content]);
    assert.deepEqual(shown, expected.map((text, i) => [String(i + 1), text]));
}

promise('three_messages_written_without_a_gateway_survive_a_reload_and_arrive_once_in_order', { of: stack }, async (t) => {
    const room = freshRoom();
    const witness = await someoneIn(t, stack.urls[1], { room });
    const anna = await cutOff(t, room);

    // The gateway is still down: the page comes all the same, and what was written is on it.
    await anna.page.reload();
    for (const text of WRITTEN)
        await anna.message(text).and(anna.page.locator('[data-state="sending"]')).waitFor();
    assert.deepEqual(witness.contents, ['before']);

    await stack.gateways[0].start();
    await arrivedOnce(witness, anna);
});

promise('they_survive_a_closed_browser_window_too', { of: stack }, async (t) => {
    const room = freshRoom();
    const witness = await someoneIn(t, stack.urls[1], { room });
    const anna = await cutOff(t, room);
    const context = anna.page.context();
    await anna.page.close();
    await stack.gateways[0].start();
    const again = await browser.openTab(t, context, pageOf(0, room));
    await arrivedOnce(witness, again);
});

promise('a_message_whose_acknowledgement_was_lost_is_there_once_after_a_reload', { of: stack }, async (t) => {
    const room = freshRoom();
    const witness = await someoneIn(t, stack.urls[1], { room });
    const anna = await browser.visit(t, pageOf(0, room), 'Anna');
    await stack.postgres.pause();
    await anna.write('on its way');
    await anna.message('on its way').and(anna.page.locator('[data-state="sending"]')).waitFor();
    // Frozen after the message was taken; the page goes before it can be told.
    await anna.page.goto('about:blank');
    await stack.postgres.resume();
    await witness.hasCounted(1);
    for (let i = 0; i < 60; i += 1) await witness.say(`later ${i}`);
    await anna.page.goto(pageOf(0, room));
    await anna.sees('later 59');
    await keeps(anna, 0);
    assert.equal(witness.contents.filter((text) => text === 'on its way').length, 1);
    // It stands far above, behind the 50 that a newcomer gets, and is not on its way any more.
    assert.equal((await anna.messages()).at(-1).content, 'later 59');
    assert.equal(await anna.page.locator('li.message[data-state="sending"]').count(), 0);
});

for (const [reloads, when] of [[true, 'after_a_reload'], [false, 'while_another_is_on_its_way']]) {
    promise(`a_draft_goes_out_under_the_name_it_was_written_under_${when}`, { of: stack }, async (t) => {
        const room = freshRoom();
        const witness = await someoneIn(t, stack.urls[1], { room });
        const anna = await browser.visit(t, pageOf(0, room), 'Anna');
        await stack.postgres.pause();
        await anna.write('by Anna');
        await anna.message('by Anna').and(anna.page.locator('[data-state="sending"]')).waitFor();
        await anna.isCalled('Annabel');
        await anna.write('by Annabel');
        await anna.write('by Annabel, too');
        if (reloads) await anna.page.reload();
        await stack.postgres.resume();
        await witness.hasCounted(3);
        assert.deepEqual(witness.messages.map(({ username, content }) => [username, content]), [
            ['Anna', 'by Anna'],
            ['Annabel', 'by Annabel'],
            ['Annabel', 'by Annabel, too'],
        ]);
        await anna.sees('by Annabel, too');
    });
}

promise('what_was_written_in_a_tab_that_is_closed_goes_out_from_another_one', { of: stack }, async (t) => {
    const room = freshRoom();
    const witness = await someoneIn(t, stack.urls[1], { room });
    const leader = await browser.visit(t, stack.urls[0], 'Anna');
    const writer = await browser.openTab(t, leader.page.context(), pageOf(0, room));
    await writer.isConnected();
    await stack.gateways[0].kill();
    await writer.is('connecting', 'offline');
    for (const text of WRITTEN) await writer.write(text);
    await keeps(writer, WRITTEN.length);
    await writer.page.close();
    await stack.gateways[0].start();
    await witness.hasCounted(WRITTEN.length);
    assert.deepEqual(witness.contents, WRITTEN);
});

promise('one_goes_on_writing_when_the_browser_throws_away_what_it_kept', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await browser.visit(t, pageOf(0, room), 'Anna');
    await anna.write('before');
    await anna.sees('before');
    await anna.page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    const session = await anna.page.context().newCDPSession(anna.page);
    await session.send('Storage.clearDataForOrigin', { origin: stack.urls[0], storageTypes: 'indexeddb' });
    for (const text of ['after', 'and on']) {
        await anna.write(text);
        await anna.sees(text);
    }
    // What is kept is kept anew.
    await stack.gateways[0].kill();
    await anna.is('connecting', 'offline');
    await anna.write('kept');
    await keeps(anna, 1);
    await anna.page.reload();
    await anna.message('kept').and(anna.page.locator('[data-state="sending"]')).waitFor();
    await stack.gateways[0].start();
    await anna.sees('kept');
});

promise('trying_again_after_a_change_of_names_sends_under_the_old_one', { of: stack }, async (t) => {
    const room = freshRoom();
    const witness = await someoneIn(t, stack.urls[1], { room });
    const anna = await browser.visit(t, pageOf(0, room), 'Anna');
    // As a page of before had left it: tried three times, and given up.
    await anna.page.evaluate(async (name) => {
        const opening = indexedDB.open('parley');
        await new Promise((resolve) => (opening.onsuccess = resolve));
        const store = opening.result.transaction('drafts', 'readwrite').objectStore('drafts');
        const draft = { clientId: crypto.randomUUID(), room: name, author: 'Anna', content: 'by Anna', order: 1, tab: 'gone', reason: 'no answer', hopeless: false };
        await new Promise((resolve) => (store.put(draft).onsuccess = resolve));
        opening.result.close();
    }, room);
    await anna.page.reload();
    await anna.page.getByText('Not sent: no answer').waitFor();
    await anna.isCalled('Bertha');
    await anna.isConnected();
    await anna.page.getByRole('button', { name: 'Try again' }).click();
    await anna.write('by Bertha');
    await witness.hasCounted(2);
    assert.deepEqual(witness.messages.map(({ username, content }) => [username, content]), [
        ['Anna', 'by Anna'],
        ['Bertha', 'by Bertha'],
    ]);
});

promise('a_clock_that_is_set_back_does_not_change_the_order', { of: stack }, async (t) => {
    const room = freshRoom();
    const witness = await someoneIn(t, stack.urls[1], { room });
    const anna = await browser.visit(t, pageOf(0, room), 'Anna');
    await anna.page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    await stack.gateways[0].kill();
    await anna.is('connecting', 'offline');
    await anna.write('one');
    await keeps(anna, 1);
    await anna.page.addInitScript(() => {
        const now = Date.now;
        Date.now = () => now() - 3_600_000;
    });
    await anna.page.reload();
    await anna.message('one').waitFor();
    await anna.write('two');
    await keeps(anna, 2);
    await anna.page.reload();
    await anna.message('two').waitFor();
    await stack.gateways[0].start();
    await witness.hasCounted(2);
    assert.deepEqual(witness.contents, ['one', 'two']);
});

promise('what_the_room_refuses_can_be_edited_or_discarded', {}, async (t) => {
    const room = freshRoom();
    const anna = await browser.visit(t, pageOf(0, room), 'Anna');
    await anna.page.evaluate(() => {
        // The field would not let it through; a page of an earlier version might.
        document.querySelector('#content').value = 'has a \0 in it';
    });
    await anna.page.press('#content', 'Enter');
    const failed = anna.page.locator('li.message[data-state="failed"]');
    await failed.getByRole('button', { name: 'Edit' }).click();
    assert.equal(await failed.count(), 0);
    await anna.write('mended');
    await anna.sees('mended');
});
