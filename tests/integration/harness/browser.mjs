/**
 * Real people's browser: Debian's Chromium, on the page that a gateway serves.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after } from 'node:test';
import { chromium } from 'playwright-core';
import { PATIENCE } from './wait.mjs';

const EXECUTABLE = process.env.PARLEY_CHROMIUM ?? '/usr/bin/chromium';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'];

/** The longest that the browser waits for one thing, ms: playwright's own limit, stretched. */
const BROWSER_WAIT_MS = 30_000 * PATIENCE;

/** Why the tests with a browser are skipped; false when they run. */
export const noBrowser = !existsSync(EXECUTABLE) && `no browser at ${EXECUTABLE}`;

/** One browser for all the tests of a file; each visitor has a profile of their own. */
export function oneBrowser() {
    let starting = null;
    after(async () => (await starting)?.close());
    /** A profile of somebody's own; it ends with the test, or with the file. @returns {import('playwright-core').BrowserContext} */
    const profile = async (t, device = {}) => {
        starting ??= chromium.launch({ executablePath: EXECUTABLE, args: FLAGS });
        const context = await (await starting).newContext({ locale: 'en-GB', ...device });
        t?.after(() => context.close());
        context.setDefaultTimeout(BROWSER_WAIT_MS);
        return context;
    };
    return {
        profile,

        /**
         * Opens the page.
         *
         * @param {import('node:test').TestContext} t
         * @param {string} url
         * @param {string} [name] typed into the page's field first
         * @param {import('playwright-core').BrowserContextOptions} [device] what they look at it with
         */
        async visit(t, url, name, device) {
            const context = await profile(t, device);
            const visitor = await openTab(t, context, url);
            await visitor.isConnected();
            if (name !== undefined) await visitor.isCalled(name);
            await visitor.isConnected();
            return visitor;
        },

        openTab,
    };
}

/**
 * Another tab of somebody's browser. At the end of the test its console has to be without complaints: exceptions, errors,
 * violations of the Content-Security-Policy.
 *
 * @param {import('playwright-core').BrowserContext} context
 */
async function openTab(t, context, url) {
    const visitor = new Visitor(await context.newPage());
    t.after(() => assert.deepEqual(visitor.complaints, []));
    await visitor.page.goto(url);
    return visitor;
}

/** What the browser itself reports of a connection that could not be made; a page can't help it. */
const UNREACHABLE = /WebSocket connection to .* failed|net::ERR_|status of 5\d\d/;

/** Somebody in front of the page. */
class Visitor {
    /** What the browser's console complained about, and exceptions. @type {string[]} */
    complaints = [];

    /** @param {import('playwright-core').Page} page */
    constructor(page) {
        this.page = page;
        page.on('console', (line) => {
            const isBad = ['error', 'warning'].includes(line.type()) && !UNREACHABLE.test(line.text());
            if (isBad) this.complaints.push(`${line.type()}: ${line.text()}`);
        });
        page.on('pageerror', (error) => this.complaints.push(String(error.stack ?? error)));
    }

    /** Goes by a name from now on. */
    async isCalled(name) {
        await this.page.fill('#username', name);
        await this.page.press('#username', 'Enter');
    }

    /** Waits until the page says that it is in one of these states. */
    async is(...states) {
        const selector = states.map((state) => `#connection[data-state="${state}"]`).join();
        await this.page.waitForSelector(selector);
    }

    async isConnected() {
        await this.is('connected', 'recovered');
    }

    async write(text) {
        await this.page.fill('#content', text);
        await this.page.click('#composer button[type="submit"]');
    }

    /** A message with exactly this text. @returns {import('playwright-core').Locator} */
    message(text) {
        const content = this.page.locator('.content').filter({ hasText: text });
        return this.page.locator('#messages li.message').filter({ has: content });
    }

    /** Waits until the message is there, and told as sent. */
    async sees(text) {
        const message = this.message(text);
        await message.and(this.page.locator('[data-state="sent"][data-id]')).waitFor();
        return message;
    }

    /** What stands on the page. @returns {Promise<{id: string, author: string, content: string, state: string}[]>} */
    async messages() {
        return this.page.$$eval('#messages li.message', (items) =>
            items.map((item) => ({
                id: item.dataset.id,
                state: item.dataset.state,
                author: item.querySelector('.author')?.textContent,
                content: item.querySelector('.content')?.textContent,
            })),
        );
    }
}
