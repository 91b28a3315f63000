/**
 * The page for everybody: by keyboard, with a screen reader, enlarged, on a small screen, from right to left, on a slow line.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { oneBrowser } from './harness/browser.mjs';
import { someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';

const stack = ownStack();
const browser = oneBrowser();

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** WCAG 2.2, A and AA, and what axe-core thinks is good practice. */
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

const pageOf = (index, room) => `${stack.urls[index]}/r/${room}`;

/** What axe-core finds wrong, in a line each. */
async function violations(person) {
    // Colours that are on their way from one to another have no contrast to speak of.
    await person.page.evaluate(() => Promise.allSettled(document.getAnimations().map((animation) => animation.finished)));
    await person.page.evaluate(AXE);
    const { violations: found } = await person.page.evaluate((values) => globalThis.axe.run(document, { runOnly: { type: 'tag', values } }), RULES);
    return found.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`);
}

for (const [looks, device] of [
    ['light', { colorScheme: 'light', reducedMotion: 'reduce' }],
    ['dark', { colorScheme: 'dark', reducedMotion: 'reduce' }],
    ['on_a_phone', { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, reducedMotion: 'reduce' }],
])
    promise(`axe_finds_nothing_wrong_in_any_state_${looks}`, { of: stack, timeoutMs: 120_000 }, async (t) => {
        const room = freshRoom();
        const anna = await browser.visit(t, pageOf(0, room), 'Anna', device);
        const { page } = anna;
        const isNarrow = device.viewport !== undefined;
        const isFine = async (state) => assert.deepEqual(await violations(anna), [], state);
        const close = async () => page.keyboard.press('Escape');
        const openRooms = async () => isNarrow && page.getByRole('button', { name: 'Rooms' }).click();

        await page.getByText('Nothing has been said here yet').waitFor();
        await isFine('an empty room');

        const bert = await someoneIn(t, stack.urls[1], { room, auth: { username: 'Bert', presence: true } });
        for (const text of ['Hello', 'and https://example.org', '🎉']) await bert.say(text);
        await anna.write('Hi');
        await anna.sees('Hi');
        bert.socket.emit('chat typing', { typing: true });
        await page.getByText('Bert is typing').waitFor();
        await isFine('messages, and somebody who types');

        await page.fill('#content', 'x'.repeat(16_385));
        await isFine('a text that is too long');
        await page.fill('#content', '');

        await openRooms();
        await isFine('the rooms');
        await page.getByRole('button', { name: 'Join or make a room' }).click();
        await page.getByLabel('Name of the room').fill('?');
        await page.keyboard.press('Enter');
        await isFine('a wrong name for a room');
        await close();
        await page.getByRole('button', { name: 'Settings' }).click();
        await isFine('the settings');
        await close();
        if (isNarrow) await close();

        await page.locator('#people').click();
        await isFine('who is here');
        await close();
        await page.locator('#connection').click();
        await isFine('the connection');
        await close();

        await stack.gateways[0].kill();
        await anna.is('offline');
        await anna.write('waiting');
        await isFine('no connection, and a message that waits');
        await stack.gateways[0].start();
        await anna.sees('waiting');

        await page.evaluate(() => (document.querySelector('#content').value = 'refused \0'));
        await page.press('#content', isNarrow ? 'Tab' : 'Enter');
        if (isNarrow) await page.keyboard.press('Enter');
        await page.getByRole('button', { name: 'Edit' }).waitFor();
        await isFine('a message that is refused');
    });

promise('from_load_to_a_sent_message_by_keyboard_alone', {}, async (t) => {
    const room = freshRoom();
    const { page } = await browser.visit(t, pageOf(0, room));
    const focused = () => page.evaluate(() => document.activeElement.id);
    assert.equal(await focused(), 'username'); // whoever has no name yet begins there
    await page.keyboard.type('Anna');
    await page.keyboard.press('Enter');
    assert.equal(await focused(), 'content');
    await page.keyboard.type('by hand');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('on two lines');
    await page.keyboard.press('Enter');
    const message = page.locator('li.message[data-state="sent"]');
    await message.waitFor();
    assert.equal(await message.locator('.content').textContent(), 'by hand\non two lines');
    assert.equal(await message.locator('.author').textContent(), 'Anna');
});

promise('everything_can_be_reached_by_keyboard_in_the_order_of_reading_and_is_seen_to_have_the_focus', {}, async (t) => {
    const room = freshRoom();
    const anna = await browser.visit(t, pageOf(0, room), 'Anna');
    const { page } = anna;
    await page.locator('#people').waitFor();
    await page.evaluate(() => {
        document.body.tabIndex = -1;
        document.body.focus();
        document.body.removeAttribute('tabindex');
    });
    const visited = [];
    for (let i = 0; i < 14; i += 1) {
        await page.keyboard.press('Tab');
        const { id, ring } = await page.evaluate(() => {
            const element = document.activeElement;
            const { outlineStyle, outlineWidth } = getComputedStyle(element);
            return { id: element.id || element.dataset.room || element.textContent, ring: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 };
        });
        visited.push(id);
        assert.ok(ring, `${id} shows that it has the focus`);
        if (id === 'Send') break;
    }
    assert.deepEqual(visited, [
        'Skip to writing', room, 'open-join', 'open-settings', 'people', 'connection', 'copy-link', 'leave', 'scroller',
        'username', 'content', 'Send',
    ]);
});

promise('one_can_skip_to_writing_and_stays_in_the_room', {}, async (t) => {
    const { page } = await browser.visit(t, stack.urls[0], 'Anna');
    await page.getByRole('link', { name: 'Skip to writing' }).focus();
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'content');
    assert.equal(await page.locator('#room').textContent(), 'lobby');
});

promise('a_screen_reader_is_told_of_messages_and_not_flooded', {}, async (t) => {
    const room = freshRoom();
    const anna = await browser.visit(t, pageOf(0, room), 'Anna');
    await anna.page.getByText('Nothing has been said here yet').waitFor();
    await anna.page.evaluate(() => {
        globalThis.told = [];
        new MutationObserver(() => globalThis.told.push(document.getElementById('announcer').textContent))
            .observe(document.getElementById('announcer'), { childList: true });
    });
    const told = (count) => anna.page.waitForFunction((n) => globalThis.told.length >= n && globalThis.told, count).then((all) => all.jsonValue());
    const bert = await someoneIn(t, stack.urls[1], { room, auth: { username: 'Bert' } });
    await bert.say('one alone');
    assert.deepEqual(await told(1), ['Bert: one alone']);
    for (let i = 0; i < 20; i += 1) await bert.say(`one of many ${i}`);
    assert.deepEqual(await told(2), ['Bert: one alone', '20 new messages']);
});

promise('nothing_is_cut_off_on_a_screen_of_320_pixels_or_enlarged_twice', {}, async (t) => {
    const room = freshRoom();
    const long = 'a'.repeat(300);
    const anna = await browser.visit(t, pageOf(0, room), 'Anna', { viewport: { width: 320, height: 568 } });
    await anna.write(`${long} https://example.org/${long}`);
    await anna.sees(long);
    const overflow = ({ page }) => page.evaluate(() => {
        const wide = [...document.querySelectorAll('body *')].filter((element) => {
            const { right, left, width } = element.getBoundingClientRect();
            const isHidden = element.closest('.rooms, .unseen, .skip, dialog:not([open])') || getComputedStyle(element).clipPath !== 'none';
            return width > 0 && !isHidden && (right > innerWidth + 1 || left < -1);
        });
        return [document.documentElement.scrollWidth - innerWidth, ...wide.map((element) => element.outerHTML.slice(0, 80))];
    });
    assert.deepEqual(await overflow(anna), [0]);
    // What a browser makes of a window of 1280 × 1024 pixels at 200 %.
    const big = await browser.visit(t, pageOf(0, room), 'Bea', { viewport: { width: 640, height: 512 }, deviceScaleFactor: 2 });
    await big.sees(long);
    assert.deepEqual(await overflow(big), [0]);
});

promise('the_page_can_be_read_from_right_to_left', {}, async (t) => {
    const anna = await browser.visit(t, pageOf(0, freshRoom()), 'Anna');
    await anna.write('on the left now');
    await anna.sees('on the left now');
    await anna.page.evaluate(() => (document.documentElement.dir = 'rtl'));
    const boxes = await anna.page.evaluate(() => ['#rooms', '#stage', '.content'].map((selector) => {
        const { left, right } = document.querySelector(selector).getBoundingClientRect();
        return { left, right };
    }));
    assert.ok(boxes[0].left >= boxes[1].right - 1, 'the rooms are on the right');
    assert.ok(boxes[2].left - boxes[1].left < boxes[1].right - boxes[2].right, 'own messages are on the left');
    assert.equal(await anna.page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0);
});

promise('nothing_moves_for_those_who_wish_so', {}, async (t) => {
    const anna = await browser.visit(t, pageOf(0, freshRoom()), 'Anna', { reducedMotion: 'reduce' });
    const moving = await anna.page.evaluate(() => [...document.querySelectorAll('*')].filter((element) => {
        const { animationName, transitionDuration } = getComputedStyle(element);
        return animationName !== 'none' || transitionDuration.split(', ').some((time) => parseFloat(time) > 0);
    }).length);
    assert.equal(moving, 0);
});

promise('the_first_view_is_under_100_kB_and_from_here_alone', {}, async (t) => {
    const { page } = await browser.visit(t, pageOf(0, freshRoom()));
    const parts = await page.evaluate(() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
        .map(({ name, transferSize, encodedBodySize, decodedBodySize }) => ({ name, transferSize, encodedBodySize, decodedBodySize })));
    const own = parts.filter(({ name }) => !name.includes('/socket.io/?'));
    assert.deepEqual(own.filter(({ name }) => new URL(name).origin !== new URL(stack.urls[0]).origin), []);
    const bytes = own.reduce((sum, { transferSize, encodedBodySize }) => sum + Math.max(transferSize, encodedBodySize), 0);
    t.diagnostic(`${own.length} files, ${bytes} bytes`);
    assert.ok(bytes < 100_000, `${bytes} bytes in ${own.length} files`);
    assert.ok(bytes > 20_000, 'they were counted');
    // Every module that is needed was named in the frame, so that none waits for another.
    const named = await page.$$eval('link[rel="modulepreload"], link[rel="prefetch"], script[src]', (all) => all.map(({ href, src }) => href ?? src));
    const modules = own.map(({ name }) => name).filter((name) => name.endsWith('.js') && !name.endsWith('/sw.js'));
    assert.deepEqual(modules.filter((name) => !named.includes(name)), []);
});

promise('a_second_visit_asks_for_the_frame_alone', {}, async (t) => {
    const anna = await browser.visit(t, pageOf(0, freshRoom()));
    await anna.page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    const asked = [];
    anna.page.context().on('request', (request) => asked.push(request));
    await anna.page.reload();
    await anna.isConnected();
    const sizes = await anna.page.evaluate(() => performance.getEntriesByType('resource')
        .filter(({ name }) => new URL(name).pathname.startsWith('/-/')).map(({ transferSize }) => transferSize));
    assert.ok(sizes.length > 10);
    assert.ok(sizes.every((size) => size <= 300), `none was sent again: ${sizes}`);
});
