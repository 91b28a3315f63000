/**
 * The tutorials' pages in Chromium, unchanged, served by the gateways: see tutorials/README.md. All of them are in the
 * lobby, and show all that was ever said there.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { oneBrowser } from './harness/browser.mjs';
import { ROOT } from './harness/parley.mjs';
import { someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { ownStack } from './harness/stack.mjs';
import { eventually } from './harness/wait.mjs';

const PAGES = process.env.PARLEY_TUTORIAL_PAGES ?? fileURLToPath(new URL('./tutorials', import.meta.url));

const stack = ownStack({ gatewayEnv: { WEB_ROOT: PAGES } });
const browser = oneBrowser();

/** How much a newcomer gets who does not say where it was, as this page does not. */
const NEWEST = 50;
const NAMES_NO_OFFSET = 'official_toggle.html';

/** Packages that hold the client of a version, as it stands in an address; the newest otherwise. */
const CLIENT_PACKAGES = { '4.3.2': 'socket.io-client-4.3.2' };

/** A tutorial's page, and whoever sits in front of it. */
class TutorialPage {
    /**
     * @param {import('playwright-core').Page} page
     * @param {number} skipped messages in front of the first that it shows
     */
    constructor(page, skipped) {
        this.page = page;
        this.skipped = skipped;
    }

    /**
     * Opens one in a profile of its own, and waits until it shows what was said already.
     *
     * @param {string} url of a gateway
     * @param {string} file as in official.html
     * @param {Person} witness who knows what was said
     * @param {string} name that a page gets when it asks another host for a random one; the older tutorial's did once
     */
    static async open(t, url, file, witness, name) {
        const context = await browser.profile(t);
        await context.route(
            (address) => address.origin !== new URL(url).origin,
            (route) => answerInPlaceOfOtherHosts(route, name),
        );
        const skipped = file === NAMES_NO_OFFSET ? Math.max(0, witness.messages.length - NEWEST) : 0;
        const self = new TutorialPage(await context.newPage(), skipped);
        await self.page.goto(`${url}/${file}`);
        await self.shows(witness.messages);
        return self;
    }

    /** What the page calls its user, and keeps; `anonymous` where it has no name for them. */
    async username() {
        return (await this.page.evaluate(() => localStorage.getItem('username'))) ?? 'anonymous';
    }

    /** Types a line and presses Enter, which empties the field. */
    async write(text) {
        await this.page.fill('#input', text);
        await this.page.press('#input', 'Enter');
        assert.equal(await this.page.inputValue('#input'), '');
    }

    /** What stands on the page: text, and name where it shows one. @returns {Promise<string[]>} */
    async lines() {
        return this.page.$$eval('#messages li', (items) =>
            items.map((item) => {
                const [text, name] = ['p', 'small'].map((tag) => item.querySelector(tag)?.textContent);
                return name === undefined ? item.textContent : `${name}: ${text}`;
            }),
        );
    }

    /** Waits until the page shows as many messages, and asserts that it shows these. @param {Message[]} all */
    async shows(all) {
        const messages = all.slice(this.skipped);
        let lines;
        const isThere = async () => (lines = await this.lines()).length >= messages.length;
        await eventually(isThere, () => `${messages.length} lines; there are ${JSON.stringify(lines)}`);
        const hasNames = lines[0].includes(': ');
        assert.deepEqual(lines, messages.map(({ content, username }) => (hasNames ? `${username}: ${content}` : content)));
    }

    /**
     * Takes the connection away, and waits until the page tries in vain to get another: it knows then, and keeps what is
     * typed. What is typed before goes, and only the official tutorial's last page has it come back.
     */
    async loses(connection) {
        const trying = this.page.waitForEvent('requestfailed');
        await connection();
        await trying;
    }

    async setOffline(isOffline) {
        await this.page.context().setOffline(isOffline);
    }
}

async function answerInPlaceOfOtherHosts(route, name) {
    const { pathname } = new URL(route.request().url());
    const [, version, file] = pathname.match(/\/(\d+\.\d+\.\d+)\/(socket\.io[\w.]*\.js)$/) ?? [];
    const headers = { 'access-control-allow-origin': '*' };
    if (file === undefined) return route.fulfill({ headers, json: { username: name } });
    const client = path.join(ROOT, 'node_modules', CLIENT_PACKAGES[version] ?? 'socket.io-client', 'dist', file);
    return route.fulfill({ headers, path: client, contentType: 'text/javascript' });
}

/** Somebody at a plain client, who has seen all that was ever said in the lobby. */
async function aWitness(t) {
    return someoneIn(t, stack.urls[1], { auth: { serverOffset: 0, username: 'witness' } });
}

/** All pages show what the witness has seen, once, and nothing else: what it says last is last on each of them. */
async function allShowTheSame(witness, pages) {
    const { id } = await witness.say('the end');
    await witness.hasSeen(id);
    witness.sawExactly(1, Number(id));
    for (const page of pages) await page.shows(witness.messages);
}

/** What was said since a message. */
const contentsSince = (witness, count) => witness.contents.slice(count);

for (const file of ['official.html', 'official_toggle.html', 'older.html']) {
    const name = file.replace('.html', '');

    promise(`two_people_chat_on_the_page_${name}_of_two_gateways`, { of: stack }, async (t) => {
        const witness = await aWitness(t);
        const before = await seenByNow(witness);
        const anna = await TutorialPage.open(t, stack.urls[0], file, witness, 'anna');
        const bert = await TutorialPage.open(t, stack.urls[1], file, witness, 'bert');
        await anna.write('Hello Bert');
        await witness.hasSeen(before + 1);
        for (const person of [anna, bert]) await person.shows(witness.messages);
        await bert.write('Hello Anna');
        await witness.hasSeen(before + 2);
        await anna.write('Hello Bert'); // the same words again are another message
        await witness.hasSeen(before + 3);
        await allShowTheSame(witness, [anna, bert]);
        const [who, other] = [await anna.username(), await bert.username()];
        assert.equal(who === other, file !== 'older.html', 'only the older page names its user');
        assert.deepEqual(
            witness.messages.slice(before, before + 3).map(({ username, content }) => [username, content]),
            [[who, 'Hello Bert'], [other, 'Hello Anna'], [who, 'Hello Bert']],
        );
    });

    promise(`the_page_${name}_catches_up_after_it_was_offline_and_says_once_what_was_typed`, { of: stack }, async (t) => {
        const witness = await aWitness(t);
        const before = await seenByNow(witness);
        const anna = await TutorialPage.open(t, stack.urls[0], file, witness, 'anna');
        const bert = await TutorialPage.open(t, stack.urls[1], file, witness, 'bert');
        await anna.write('before');
        await witness.hasSeen(before + 1);
        await anna.shows(witness.messages);

        await anna.loses(() => anna.setOffline(true));
        await bert.write('while anna is offline');
        await witness.hasSeen(before + 2);
        await anna.write('typed offline');
        await anna.write('typed offline, too');
        await anna.setOffline(false);
        await witness.hasSeen(before + 4);
        await allShowTheSame(witness, [anna, bert]);
        const expected = ['before', 'while anna is offline', 'typed offline', 'typed offline, too', 'the end'];
        assert.deepEqual(contentsSince(witness, before), expected);
    });

    promise(`the_page_${name}_catches_up_on_another_gateway_when_its_connections_are_cut`, { of: stack }, async (t) => {
        const witness = await aWitness(t);
        const before = await seenByNow(witness);
        const door = await stack.door(0);
        const anna = await TutorialPage.open(t, door.url, file, witness, 'anna');
        await anna.write('before');
        await witness.hasSeen(before + 1);
        await anna.shows(witness.messages);
        await anna.loses(() => {
            door.leadTo(() => null);
            door.cut();
        });
        await witness.say('while anna is away');
        await anna.write('typed while away');
        door.leadTo(() => stack.gateways[1].port);
        await witness.hasSeen(before + 3);
        await allShowTheSame(witness, [anna]);
        assert.deepEqual(contentsSince(witness, before), ['before', 'while anna is away', 'typed while away', 'the end']);
    });

    promise(`the_page_${name}_catches_up_when_its_gateway_was_killed_and_started_again`, { of: stack }, async (t) => {
        const witness = await aWitness(t);
        const before = await seenByNow(witness);
        const anna = await TutorialPage.open(t, stack.urls[0], file, witness, 'anna');
        await anna.write('before');
        await witness.hasSeen(before + 1);
        await anna.shows(witness.messages);
        await anna.loses(() => stack.gateways[0].kill());
        await witness.say('while the gateway is dead');
        await anna.write('typed while it is dead');
        await stack.gateways[0].start();
        await witness.hasSeen(before + 3);
        await allShowTheSame(witness, [anna]);
        const expected = ['before', 'while the gateway is dead', 'typed while it is dead', 'the end'];
        assert.deepEqual(contentsSince(witness, before), expected);
    });
}

promise('the_older_page_keeps_its_name_over_a_reload_and_shows_all_again', { of: stack }, async (t) => {
    const witness = await aWitness(t);
    const before = await seenByNow(witness);
    const anna = await TutorialPage.open(t, stack.urls[0], 'older.html', witness, `anna-${before}`);
    const username = await anna.username();
    await anna.write('before the reload');
    await witness.hasSeen(before + 1);
    await anna.page.reload();
    await anna.shows(witness.messages);
    await anna.write('after the reload');
    await witness.hasSeen(before + 2);
    await allShowTheSame(witness, [anna]);
    assert.deepEqual(witness.messages.slice(before, -1).map(({ username }) => username), Array(2).fill(username));
});

promise('what_two_official_pages_say_offline_in_the_same_words_is_said_twice', { of: stack }, async (t) => {
    const witness = await aWitness(t);
    const before = await seenByNow(witness);
    const people = [];
    for (const url of stack.urls) people.push(await TutorialPage.open(t, url, 'official.html', witness));
    // Both send the client id undefined-0, with the same words and the same name.
    for (const person of people) await person.loses(() => person.setOffline(true));
    for (const person of people) await person.write('hello');
    for (const person of people) await person.setOffline(false);
    await witness.hasSeen(before + 2);
    await allShowTheSame(witness, people);
    assert.deepEqual(contentsSince(witness, before), ['hello', 'hello', 'the end']);
});

promise('the_official_pages_button_disconnects_and_connects_and_nothing_is_shown_twice', { of: stack }, async (t) => {
    const witness = await aWitness(t);
    const before = await seenByNow(witness);
    const anna = await TutorialPage.open(t, stack.urls[0], 'official_toggle.html', witness, 'anna');
    await anna.write('before');
    await witness.hasSeen(before + 1);
    await anna.shows(witness.messages);
    for (let round = 0; round < 3; round++) {
        await anna.page.click('#toggle-btn');
        await witness.say(`${round} while she is away`);
        await anna.write(`${round} typed while away`);
        await anna.page.click('#toggle-btn');
        await witness.hasSeen(before + 3 + 2 * round);
        await anna.shows(witness.messages);
    }
    await allShowTheSame(witness, [anna]);
});

/** How many messages there are by now: the witness says one more, and waits for it. */
async function seenByNow(witness) {
    const { id } = await witness.say('the beginning');
    await witness.hasSeen(id);
    return Number(id);
}
