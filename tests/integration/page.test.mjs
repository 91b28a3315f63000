/**
 * The page in a real browser: two people on two gateways chat, and a gateway dies under one of them.
 */
import assert from 'node:assert/strict';
import { oneBrowser } from './harness/browser.mjs';
import { someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { anyStack, freshRoom } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const stack = anyStack();
const browser = oneBrowser();

const pageOf = (index, room) => `${stack.urls[index]}/r/${room}`;

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
    for (const person of [anna, bert]) assert.deepEqual(await person.messages(), expected);
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
});

promise('what_was_missed_is_counted_and_marked', { of: stack }, async (t) => {
    const room = freshRoom();
    const anna = await browser.visit(t, pageOf(0, room), 'Anna');
    await anna.write('before');
    await anna.sees('before');
    const cleo = await someoneIn(t, stack.urls[1], { room, auth: { username: 'Cleo' } });
    await stack.gateways[0].kill();
    await anna.is('connecting', 'offline');
    for (let i = 1; i <= 37; i += 1) await cleo.say(`missed ${i}`);
    await stack.gateways[0].start();
    await anna.page.getByText('Caught up on 37 messages').waitFor();
    const line = anna.page.locator('#messages li', { has: anna.page.locator('.unread-line') });
    assert.equal(await line.locator('.content').textContent(), 'missed 1');
});

promise('a_page_without_a_gateway_says_when_it_tries_again_and_does_so_when_asked', { of: stack }, async (t) => {
    const anna = await browser.visit(t, pageOf(0, freshRoom()), 'Anna');
    await stack.gateways[0].kill();
    await anna.page.getByText('No connection to the server').waitFor();
    await anna.page.getByText(/Next try in \d+ s/).waitFor();
    await stack.gateways[0].start();
    // It may have come back by itself meanwhile.
    await anna.page.getByRole('button', { name: 'Try now' }).click({ timeout: 1000 }).catch(() => {});
    await anna.isConnected();
    assert.equal(await anna.page.locator('#trouble').isVisible(), false);
});

promise('rooms_are_joined_by_name_and_by_link_and_left', {}, async (t) => {
    const [first, second] = [freshRoom(), freshRoom()];
    const anna = await browser.visit(t, pageOf(0, first), 'Anna');
    const { page } = anna;
    const rooms = () => page.$$eval('#room-list .title', (titles) => titles.map((title) => title.textContent).sort());
    const shown = () => page.locator('#room').textContent();

    await page.getByRole('button', { name: 'Join or make a room' }).click();
    await page.getByLabel('Name of the room').fill('no such thing!');
    await page.keyboard.press('Enter');
    await page.getByText('begins with a letter or digit').waitFor();
    await page.getByLabel('Name of the room').fill(second);
    await page.keyboard.press('Enter');
    await page.waitForURL(`**/r/${second}`);
    await anna.isConnected();
    await anna.write('in the second');
    await anna.sees('in the second');
    assert.deepEqual(await rooms(), [first, second].sort());

    await page.goBack();
    await page.waitForURL(`**/r/${first}`);
    assert.equal(await shown(), first);
    assert.equal(await anna.message('in the second').count(), 0);
    await page.goForward();
    await anna.sees('in the second');

    await page.getByRole('button', { name: 'Leave this room' }).click();
    await page.waitForURL(`**/r/${first}`);
    assert.deepEqual(await rooms(), [first]);
    await page.reload();
    await anna.isConnected();
    assert.deepEqual(await rooms(), [first]);
});

promise('what_is_unread_elsewhere_is_counted_in_list_title_and_icon', {}, async (t) => {
    const [here, elsewhere] = [freshRoom(), freshRoom()];
    const anna = await browser.visit(t, pageOf(0, elsewhere), 'Anna');
    const { page } = anna;
    await page.getByText('Nothing has been said here yet').waitFor();
    await page.goto(pageOf(0, here));
    await anna.isConnected();
    const bert = await someoneIn(t, stack.urls[1], { room: elsewhere, auth: { username: 'Bert' } });
    for (const text of ['one', 'two', 'three']) await bert.say(text);
    const entry = page.locator('#room-list a', { hasText: elsewhere });
    await entry.getByRole('img', { name: '3 unread messages' }).waitFor();
    assert.equal(await entry.locator('.preview').textContent(), 'Bert: three');
    assert.equal(await page.title(), `(3) ${here} · Parley`);
    assert.match(await page.getAttribute('link[rel="icon"]', 'href'), /unread/);

    // So it is after the page was away, and gone when they have been looked at.
    await page.reload();
    await entry.getByRole('img', { name: '3 unread messages' }).waitFor();
    await entry.click();
    await anna.sees('three');
    assert.equal(await page.locator('li:has(.unread-line) .content').textContent(), 'one');
    await page.waitForFunction(() => !document.title.startsWith('('));
    assert.equal(await entry.locator('.badge').isVisible(), false);
});

promise('two_tabs_of_one_browser_agree_on_rooms_and_on_what_is_read', {}, async (t) => {
    const [here, elsewhere] = [freshRoom(), freshRoom()];
    const anna = await browser.visit(t, pageOf(0, elsewhere), 'Anna');
    await anna.page.getByText('Nothing has been said here yet').waitFor();
    const other = await browser.openTab(t, anna.page.context(), pageOf(0, here));
    await other.isConnected();
    const entry = other.page.locator('#room-list a', { hasText: elsewhere });
    const bert = await someoneIn(t, stack.urls[1], { room: elsewhere, auth: { username: 'Bert' } });
    await anna.page.evaluate(() => {
        // Playwright's tabs are all in front; nobody looks at this one.
        Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
    });
    await bert.say('for the one who looks elsewhere');
    await entry.getByRole('img', { name: 'one unread message' }).waitFor();
    await anna.page.evaluate(() => {
        delete document.visibilityState;
        document.dispatchEvent(new Event('visibilitychange'));
    });
    await entry.locator('.badge').waitFor({ state: 'hidden' });
});

promise('what_one_says_in_one_tab_is_ones_own_in_the_other', {}, async (t) => {
    const room = freshRoom();
    const anna = await browser.visit(t, pageOf(0, room), 'Anna');
    const other = await browser.openTab(t, anna.page.context(), pageOf(0, room));
    await other.isConnected();
    await anna.write('said here');
    await other.page.locator('li.message[data-own]', { hasText: 'said here' }).waitFor();
    await other.write('said there');
    await anna.page.locator('li.message[data-own]', { hasText: 'said there' }).waitFor();
});

promise('the_page_works_where_the_browser_keeps_nothing', {}, async (t) => {
    const context = await browser.profile(t);
    await context.addInitScript(() => {
        for (const name of ['localStorage', 'sessionStorage', 'indexedDB', 'caches'])
            Object.defineProperty(globalThis, name, { get: () => { throw new DOMException('off', 'SecurityError'); } });
        for (const name of ['locks', 'serviceWorker'])
            Object.defineProperty(Navigator.prototype, name, { get: () => undefined });
    });
    const anna = await browser.openTab(t, context, pageOf(0, freshRoom()));
    await anna.isCalled('Anna');
    await anna.isConnected();
    await anna.write('kept by the room alone');
    await anna.sees('kept by the room alone');
    await anna.page.getByRole('button', { name: 'Settings' }).click();
    await anna.page.getByLabel('Appearance').selectOption('dark');
    assert.equal(await anna.page.getAttribute('html', 'data-theme'), 'dark');
});

promise('who_looks_elsewhere_is_notified_once_however_many_tabs_there_are', {}, async (t) => {
    const [here, elsewhere] = [freshRoom(), freshRoom()];
    const context = await browser.profile(t);
    await context.addInitScript(() => {
        // What the desktop would show; and nobody looks at any of the tabs.
        globalThis.shown = [];
        globalThis.Notification = class {
            static permission = 'granted';
            static requestPermission = async () => 'granted';
            constructor(title, { body }) {
                globalThis.shown.push(`${title}: ${body}`);
            }
            close() {}
        };
        Object.defineProperty(document, 'visibilityState', { value: 'hidden' });
    });
    const first = await browser.openTab(t, context, pageOf(0, elsewhere));
    await first.isConnected();
    await first.page.getByRole('button', { name: 'Settings' }).click();
    await first.page.getByLabel('Notify me').check();
    await first.page.getByRole('button', { name: 'Close', exact: true }).click();
    await first.page.goto(pageOf(0, here));
    await first.isConnected();
    const second = await browser.openTab(t, context, pageOf(0, here));
    await second.isConnected();
    const shown = async () => (await Promise.all([first, second].map(({ page }) => page.evaluate(() => globalThis.shown)))).flat();

    const bert = await someoneIn(t, stack.urls[1], { room: elsewhere, auth: { username: 'Bert' } });
    await bert.say('are you there?');
    await eventually(async () => (await shown()).length > 0, 'a notification');
    await bert.say('hello?');
    await eventually(async () => (await shown()).length > 1, 'another one');
    assert.deepEqual(await shown(), [`Bert · ${elsewhere}: are you there?`, `Bert · ${elsewhere}: hello?`]);
});

promise('who_looks_at_a_room_in_one_tab_is_not_notified_of_it_by_another', {}, async (t) => {
    const [here, elsewhere] = [freshRoom(), freshRoom()];
    const context = await browser.profile(t);
    await context.addInitScript(() => {
        globalThis.shown = [];
        globalThis.Notification = class {
            static permission = 'granted';
            constructor(title) {
                globalThis.shown.push(title);
            }
        };
        localStorage.setItem('parley.settings', JSON.stringify({ notify: true }));
    });
    const leader = await browser.openTab(t, context, pageOf(0, here));
    await leader.isConnected();
    await leader.page.evaluate(() => {
        Object.defineProperty(document, 'visibilityState', { value: 'hidden' });
        document.dispatchEvent(new Event('visibilitychange'));
    });
    const looking = await browser.openTab(t, context, pageOf(0, elsewhere));
    await looking.page.getByText('Nothing has been said here yet').waitFor();
    const [bert, cleo] = await Promise.all([elsewhere, here].map((room) => someoneIn(t, stack.urls[1], { room, auth: { username: 'Bert' } })));
    await bert.say('you see this');
    await looking.sees('you see this');
    await cleo.say('you do not see this');
    await eventually(() => leader.page.evaluate(() => globalThis.shown.length > 0), 'a notification');
    assert.deepEqual(await leader.page.evaluate(() => globalThis.shown), [`Bert · ${here}`]);
});

promise('links_are_followed_only_where_that_is_harmless', {}, async (t) => {
    const room = freshRoom();
    const anna = await browser.visit(t, pageOf(0, room), 'Anna');
    const text = 'see (https://example.org/a_(b)), javascript:alert(1) data:text/html,x mailto:ada@example.org. \nhttp://x.test/?q=1&r=2!';
    await anna.write(text);
    const message = await anna.sees('javascript:alert');
    assert.equal(await message.locator('.content').textContent(), text);
    const links = await message.locator('a').evaluateAll((all) => all.map((a) => [a.getAttribute('href'), a.rel, a.target]));
    const harmless = ['noopener noreferrer nofollow', '_blank'];
    assert.deepEqual(links, [
        ['https://example.org/a_(b)', ...harmless],
        ['mailto:ada@example.org', ...harmless],
        ['http://x.test/?q=1&r=2', ...harmless],
    ]);
});

promise('emoji_alone_are_large_and_right_to_left_text_runs_so', {}, async (t) => {
    const anna = await browser.visit(t, pageOf(0, freshRoom()), 'Anna');
    const large = async (text) => {
        await anna.write(text);
        return (await anna.sees(text)).locator('.content').getAttribute('data-large');
    };
    assert.notEqual(await large('👩‍👩‍👧🇪🇸❤️'), null);
    assert.equal(await large('👍 yes'), null);
    assert.equal(await large('12'), null);
    await anna.write('שלום עולם');
    const content = (await anna.sees('שלום עולם')).locator('.content');
    assert.equal(await content.evaluate((element) => getComputedStyle(element).direction), 'rtl');
});

promise('what_is_half_written_waits_in_its_room', {}, async (t) => {
    const [first, second] = [freshRoom(), freshRoom()];
    const anna = await browser.visit(t, pageOf(0, first), 'Anna');
    await anna.page.fill('#content', 'half a thou');
    await anna.page.goto(pageOf(0, second));
    await anna.isConnected();
    assert.equal(await anna.page.inputValue('#content'), '');
    await anna.page.locator('#room-list a', { hasText: first }).click();
    assert.equal(await anna.page.inputValue('#content'), 'half a thou');
});

promise('a_text_that_is_too_long_is_counted_and_stays_where_it_is', {}, async (t) => {
    const anna = await browser.visit(t, pageOf(0, freshRoom()), 'Anna');
    const { page } = anna;
    await page.fill('#content', 'é'.repeat(8192 - 10));
    assert.equal(await page.locator('#counter').textContent(), '20 bytes left');
    await page.fill('#content', `${'é'.repeat(8192)}!`);
    assert.equal(await page.locator('#counter').textContent(), 'Too long by one byte');
    await page.press('#content', 'Enter');
    assert.equal((await page.inputValue('#content')).length, 8193);
    await page.fill('#content', 'é'.repeat(8192));
    await page.press('#content', 'Enter');
    await anna.sees('é');
});

promise('another_name_is_taken_over_and_what_was_said_before_keeps_the_old_one', {}, async (t) => {
    const room = freshRoom();
    const anna = await browser.visit(t, pageOf(0, room), 'Anna');
    await anna.write('first');
    await anna.sees('first');
    await anna.page.getByRole('button', { name: 'Settings' }).click();
    await anna.page.getByRole('dialog').getByLabel('Name').fill('Annabel');
    await anna.page.keyboard.press('Enter');
    await anna.isConnected();
    await anna.write('second');
    await anna.sees('second');
    assert.deepEqual((await anna.messages()).map(({ author, content }) => [author, content]), [
        ['Anna', 'first'],
        ['Annabel', 'second'],
    ]);
});

promise('the_page_is_dark_compact_and_Spanish_when_asked_and_stays_so', {}, async (t) => {
    const anna = await browser.visit(t, pageOf(0, freshRoom()), 'Anna');
    const { page } = anna;
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.getByLabel('Appearance').selectOption('dark');
    await page.getByLabel('Density').selectOption('compact');
    const dark = await background();
    assert.notEqual(dark, light);
    await page.getByLabel('Language').selectOption('es');
    await page.getByRole('button', { name: 'Ajustes' }).waitFor();
    await anna.isConnected();
    assert.equal(await page.getAttribute('html', 'lang'), 'es');
    assert.equal(await background(), dark);
    assert.equal(await page.getAttribute('html', 'data-density'), 'compact');
    assert.match(await page.getAttribute('#content', 'placeholder'), /^Escribe en/);
});

promise('one_sees_who_is_here_and_who_types_on_another_gateway', {}, async (t) => {
    const room = freshRoom();
    const anna = await browser.visit(t, pageOf(0, room), 'Anna');
    const bert = await browser.visit(t, pageOf(1, room), 'Bert');
    for (const person of [anna, bert]) await person.page.getByRole('button', { name: '2 here' }).waitFor();
    await anna.page.getByRole('button', { name: '2 here' }).click();
    await anna.page.getByRole('dialog').getByText('Bert').waitFor();
    assert.deepEqual(await anna.page.$$eval('#people-list li span:last-child', (names) => names.map((name) => name.textContent)), ['Anna', 'Bert']);
    await anna.page.keyboard.press('Escape');

    await bert.page.locator('#content').pressSequentially('I am thinking');
    await anna.page.getByText('Bert is typing').waitFor();
    await bert.page.keyboard.press('Enter');
    await anna.sees('I am thinking');
    await anna.page.getByText('Bert is typing').waitFor({ state: 'hidden' });
    assert.equal(await bert.page.locator('#typing').textContent(), '');

    await bert.page.close();
    await anna.page.getByRole('button', { name: '1 here' }).waitFor();
});
