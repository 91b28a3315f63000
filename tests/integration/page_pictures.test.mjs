/**
 * What the page looks like: the pictures of docs/images, which README shows. `make pictures` makes them anew; in a test run
 * they are made and thrown away, so that what leads to them keeps working.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { oneBrowser } from './harness/browser.mjs';
import { someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { ownStack } from './harness/stack.mjs';

const stack = ownStack();
const browser = oneBrowser();

/** Where the pictures go; nowhere by default. */
const FOLDER = process.env.PARLEY_PICTURES;

const DESKTOP = { viewport: { width: 1180, height: 740 }, reducedMotion: 'reduce' };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, reducedMotion: 'reduce' };

/** What was said, by whom. The rooms are the ones that the pictures show. */
const TALK = {
    lobby: [['Grace', 'Good morning!'], ['Linus', 'Coffee is ready ☕']],
    release: [['Linus', 'Deployed to staging'], ['Barbara', 'All green here'], ['Barbara', 'Shall we?']],
    'night-watch': [['Grace', 'gateway-2 was restarted at 03:12, nobody noticed']],
};

const STORY = [
    ['Barbara', 'I pulled the plug of gateway B while you were writing.\nDid anybody lose anything?'],
    ['Grace', 'Not here. “Caught up on 12 messages”, and on it went.'],
    ['Ada', 'Same. I even wrote three messages meanwhile: they went out when it was back, once each and in order.'],
    ['Grace', 'How does it know?'],
    ['Barbara', 'A room is a log, and each of us is a cursor on it: https://parley.example/docs/architecture'],
    ['Linus', 'And the ids have no holes, so a missing one is seen at once.'],
    ['Ada', 'I like it.'],
    ['Grace', '🎉'],
];

/** Everybody has their say, in turns, one from each gateway. */
async function talk(t, room, lines) {
    const people = new Map();
    for (const [name, text] of lines) {
        if (!people.has(name)) {
            const url = stack.urls[people.size % 2];
            people.set(name, await someoneIn(t, url, { room, auth: { username: name, presence: true } }));
        }
        await people.get(name).say(text);
    }
    return people;
}

async function picture(person, name) {
    const type = 'png';
    await person.page.evaluate(() => document.fonts.ready);
    const image = await person.page.screenshot({ type, path: FOLDER && path.join(FOLDER, `${name}.${type}`) });
    assert.ok(image.length > 10_000, `${name} shows something`);
}

promise('the_page_looks_as_in_the_pictures', { of: stack, timeoutMs: 120_000 }, async (t) => {
    for (const [room, lines] of Object.entries(TALK)) await talk(t, room, lines);
    const people = await talk(t, 'engine-room', STORY.filter(([name]) => name !== 'Ada').slice(0, 2));

    const scenes = [
        ['page-light', { ...DESKTOP, colorScheme: 'light' }],
        ['page-dark', { ...DESKTOP, colorScheme: 'dark' }],
        ['page-phone', { ...PHONE, colorScheme: 'light' }],
    ];
    const [first, ...others] = await Promise.all(scenes.map(async ([name, device]) => {
        const person = await browser.visit(t, stack.urls[0], 'Ada', device);
        for (const room of ['release', 'night-watch', 'engine-room']) {
            await person.page.evaluate((address) => {
                history.pushState(null, '', address);
                dispatchEvent(new PopStateEvent('popstate'));
            }, `/r/${room}`);
            await person.isConnected();
        }
        return Object.assign(person, { scene: name });
    }));

    for (const [name, text] of STORY.slice(2)) {
        if (name === 'Ada') {
            await first.write(text);
            await first.sees(text);
        } else {
            if (!people.has(name)) people.set(name, await someoneIn(t, stack.urls[1], { room: 'engine-room', auth: { username: name, presence: true } }));
            await people.get(name).say(text);
        }
    }
    // Something is unread elsewhere, and somebody types.
    await talk(t, 'release', [['Barbara', 'Tagged v1.0 🚀'], ['Linus', 'Congratulations!']]);
    for (const person of [first, ...others]) {
        await person.sees('🎉');
        await person.page.locator('.badge:not([hidden])', { hasText: '2' }).waitFor({ state: 'attached' });
    }
    people.get('Linus').socket.emit('chat typing', { typing: true });
    for (const person of [first, ...others]) {
        await person.page.getByText('Linus is typing').waitFor();
        await picture(person, person.scene);
    }

    const [dark, phone] = others;
    await phone.page.getByRole('button', { name: 'Rooms' }).click();
    await picture(phone, 'page-phone-rooms');

    await stack.gateways[0].kill();
    await dark.is('offline');
    for (const text of ['Cut off here', 'but writing on']) await dark.write(text);
    await picture(dark, 'page-offline');
    await stack.gateways[0].start();
    await dark.sees('but writing on');
});
