/**
 * Rooms with a long past: one can scroll back to their beginning, and the page stays small.
 */
import assert from 'node:assert/strict';
import { oneBrowser } from './harness/browser.mjs';
import { someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { anyStack, freshRoom } from './harness/stack.mjs';

const stack = anyStack();
const browser = oneBrowser();

/** The most messages that the page has at a time. */
const WINDOW_MAX = 400;

/** So many are sent before the first is acknowledged. */
const IN_FLIGHT = 500;

/** A room in which @count things were said. */
async function longRoom(t, count) {
    const room = freshRoom();
    const bert = await someoneIn(t, stack.urls[1], { room, auth: { username: 'Bert', echo: false } });
    for (let next = 1; next <= count; next += IN_FLIGHT) {
        const texts = Array.from({ length: Math.min(IN_FLIGHT, count - next + 1) }, (_, i) => `message ${next + i}`);
        await Promise.all(texts.map((text) => bert.say(text)));
    }
    return { room, bert, url: `${stack.urls[0]}/r/${room}` };
}

/** The first and the last id on the page, and how many there are; they have no holes. */
async function windowOf(person) {
    const ids = (await person.messages()).map(({ id }) => Number(id));
    ids.forEach((id, i) => assert.equal(id, ids[0] + i, 'no holes'));
    return { first: ids[0], last: ids.at(-1), count: ids.length };
}

/** Turns the wheel until @isThere holds. */
async function scroll(person, deltaY, isThere) {
    await person.page.locator('#scroller').hover();
    for (let turns = 0; !(await isThere()); turns += 1) {
        assert.ok(turns < 5000, 'it ends');
        await person.page.mouse.wheel(0, deltaY);
        await person.page.evaluate(() => new Promise(requestAnimationFrame));
    }
}

promise('one_can_scroll_back_through_10_000_messages_to_the_first_and_forth_again', { timeoutMs: 180_000 }, async (t) => {
    const total = 10_000;
    const { url } = await longRoom(t, total);
    const anna = await browser.visit(t, url, 'Anna');
    await anna.sees(`message ${total}`);
    let most = 0;
    let lowest = total;
    await scroll(anna, -3000, async () => {
        const { first, count } = await windowOf(anna);
        most = Math.max(most, count);
        assert.ok(first <= lowest, 'it only gets older');
        lowest = first;
        return first === 1;
    });
    await anna.page.getByText('This is where the room begins').waitFor();
    assert.ok(most <= WINDOW_MAX, `${most} messages on the page`);

    // Some way down by the wheel, the rest by the button.
    await scroll(anna, 3000, async () => (await windowOf(anna)).last >= 1000);
    assert.ok((await windowOf(anna)).count <= WINDOW_MAX);
    await anna.page.getByRole('button', { name: 'Newest messages' }).click();
    await anna.sees(`message ${total}`);
    assert.equal((await windowOf(anna)).last, total);
});

promise('what_one_reads_does_not_move_when_more_comes_above_and_below', {}, async (t) => {
    const { url, bert } = await longRoom(t, 600);
    const anna = await browser.visit(t, url, 'Anna');
    await anna.sees('message 600');
    // A little up, but not so far that older ones are loaded; then the first of them are.
    await scroll(anna, -300, () => anna.page.getByRole('button', { name: 'Newest messages' }).isVisible());
    const placed = () =>
        anna.page.evaluate(() => {
            const scroller = document.getElementById('scroller');
            const { x, y } = scroller.getBoundingClientRect();
            const item = document.elementsFromPoint(x + scroller.clientWidth / 2, y + scroller.clientHeight / 2)
                .find((element) => element.closest('li.message'))?.closest('li.message');
            return item && { id: item.dataset.id, top: Math.round(item.getBoundingClientRect().top) };
        });
    const before = await placed();
    for (let i = 0; i < 5; i += 1) await bert.say(`newer ${i}`);
    await anna.page.getByRole('button', { name: '5 new messages' }).waitFor();
    assert.deepEqual(await placed(), before);

    const { first } = await windowOf(anna);
    await scroll(anna, -200, async () => (await windowOf(anna)).first < first);
    const reading = await placed();
    await anna.page.evaluate(() => new Promise((done) => setTimeout(done, 0)));
    assert.equal((await placed()).id, reading.id);
    await anna.page.getByRole('button', { name: '5 new messages' }).click();
    await anna.sees('newer 4');
    assert.equal(await anna.page.locator('#newer').isVisible(), false);
});

promise('one_who_reads_far_back_is_not_flooded_by_what_is_new', {}, async (t) => {
    const { url, bert } = await longRoom(t, 1200);
    const anna = await browser.visit(t, url, 'Anna');
    await anna.sees('message 1200');
    await scroll(anna, -3000, async () => (await windowOf(anna)).first < 500);
    const { last } = await windowOf(anna);
    for (let i = 1; i <= 3; i += 1) await bert.say(`newer ${i}`);
    await anna.page.getByRole('button', { name: '3 new messages' }).waitFor();
    assert.ok((await windowOf(anna)).last <= last + 3);
    assert.ok((await windowOf(anna)).count <= WINDOW_MAX);
    await anna.write('and I say this');
    await anna.sees('and I say this');
    await anna.sees('newer 3');
    assert.equal((await windowOf(anna)).last, 1204);
});

promise('one_who_comes_back_to_many_unread_messages_is_led_to_the_first', {}, async (t) => {
    const { room, bert, url } = await longRoom(t, 10);
    const anna = await browser.visit(t, url, 'Anna');
    await anna.sees('message 10');
    await anna.page.waitForFunction((name) => {
        const rooms = JSON.parse(localStorage.getItem('parley.rooms') ?? '[]');
        return rooms.some((each) => each.name === name && each.lastRead === 10);
    }, room);
    const context = anna.page.context();
    await anna.page.close();
    await Promise.all(Array.from({ length: 300 }, (_, i) => bert.say(`unread ${i + 1}`)));
    const again = await browser.openTab(t, context, url);
    await again.page.getByRole('button', { name: '300 unread messages above' }).click();
    const line = again.page.locator('li:has(.unread-line)');
    await line.waitFor();
    assert.equal(await line.locator('.content').textContent(), 'unread 1');
    assert.ok(await line.evaluate((item) => {
        const { top, bottom } = item.getBoundingClientRect();
        const view = document.getElementById('scroller').getBoundingClientRect();
        return top >= view.top && bottom <= view.bottom;
    }), 'it is on the screen');
});

promise('messages_that_cannot_be_loaded_are_asked_for_again', { of: stack }, async (t) => {
    const { url } = await longRoom(t, 300);
    const anna = await browser.visit(t, url, 'Anna');
    await anna.sees('message 300');
    await stack.gateways[0].kill();
    await anna.is('connecting', 'offline');
    await scroll(anna, -3000, () => anna.page.getByText('Could not load more').isVisible());
    await stack.gateways[0].start();
    await anna.isConnected();
    await scroll(anna, -3000, async () => (await windowOf(anna)).first === 1);
});
