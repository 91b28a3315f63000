/**
 * The page in a real browser: two people on two gateways chat, and a gateway dies under one of them.
 */
import assert from 'node:assert/strict';
import { oneBrowser } from './harness/browser.mjs';
import { someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { anyStack, freshRoom } from './harness/stack.mjs';

const stack = anyStack();
const browser = oneBrowser();

const pageOf = (index, room) => `${stack.urls[index]}/?room=${room}`;

promise('two_people_chat_on_the_pages_of_two_gateways', {}, async (t) => {
    const room = freshRoom();
    const anna = await browser.visit(t, pageOf(0, room), 'Anna');
    const bert = await browser.visit(t, pageOf(1, room), 'Bert');
    await anna.write('Hello Bert');
    await bert.sees('Hello Bert');
    await bert.write('Hello Anna');
    await anna.sees('Hello Anna');
    await anna.sees('Hello Bert');
    await bert.sees('Hello Anna');
    const expected = [
        { id: '1', state: 'sent', author: 'Anna', content: 'Hello Bert' },
        { id: '2', state: 'sent', author: 'Bert', content: 'Hello Anna' },
    ];
    for (const person of [anna, bert]) {
        assert.deepEqual(await person.messages(), expected);
        assert.deepEqual(person.complaints, []);
    }
});

promise('what_was_said_is_on_the_page_of_who_comes_later', {}, async (t) => {
    const room = freshRoom();
    const anna = await browser.visit(t, pageOf(0, room), 'Anna');
    for (const text of ['one', 'two', 'three']) {
        await anna.write(text);
        await anna.sees(text);
    }
    await anna.page.reload();
    await anna.sees('three');
    const bert = await browser.visit(t, pageOf(1, room));
    await bert.sees('three');
    for (const person of [anna, bert])
        assert.deepEqual((await person.messages()).map(({ content }) => content), ['one', 'two', 'three']);
});

promise('markup_is_shown_as_the_text_that_it_is', {}, async (t) => {
    const room = freshRoom();
    const text = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script> & "quotes"`;
    const anna = await browser.visit(t, pageOf(0, room), '<b>Anna</b>');
    const bert = await browser.visit(t, pageOf(1, room));
    await anna.write(text);
    for (const person of [anna, bert]) {
        const message = await person.sees('onerror');
        assert.equal(await message.locator('.content').textContent(), text);
        assert.equal(await message.locator('.author').textContent(), '<b>Anna</b>');
        assert.equal(await person.page.locator('#messages img, #messages script, #messages b').count(), 0);
        assert.notEqual(await person.page.title(), 'owned');
        assert.deepEqual(person.complaints, []);
    }
});

promise('ones_own_message_goes_from_sending_to_sent', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await browser.visit(t, pageOf(0, room), 'Anna');
    await stack.postgres.pause();
    await anna.write('on its way');
    const message = anna.message('on its way');
    await message.and(anna.page.locator('[data-state="sending"]')).waitFor();
    assert.equal(await message.getAttribute('data-id'), null);
    await stack.postgres.resume();
    await anna.sees('on its way');
    assert.deepEqual(await anna.messages(), [{ id: '1', state: 'sent', author: 'Anna', content: 'on its way' }]);
});

promise('the_page_tells_that_its_gateway_died_and_catches_up', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await browser.visit(t, pageOf(0, room), 'Anna');
    const cleo = await someoneIn(t, stack.urls[1], { room, auth: { username: 'Cleo' } });
    await anna.write('before');
    await anna.sees('before');

    await stack.gateways[0].kill();
    await anna.is('connecting', 'offline');
    await cleo.say('while you were away');
    await anna.write('typed while away');
    await anna.message('typed while away').and(anna.page.locator('[data-state="sending"]')).waitFor();
    await stack.gateways[0].start();
    await anna.is('recovered');
    await anna.sees('typed while away');
    await cleo.hasSeen(3);
    assert.deepEqual(
        (await anna.messages()).map(({ id, content }) => [id, content]),
        [['1', 'before'], ['2', 'while you were away'], ['3', 'typed while away']],
    );
    // The browser itself reports every connection that it could not make; nothing else may be there.
    const own = anna.complaints.filter((complaint) => !/WebSocket connection to .* failed/.test(complaint));
    assert.deepEqual(own, []);
});
