/**
 * Real people's browser: Debian's Chromium, on the page that a gateway serves.
 */
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
    const profile = async (t) => {
        starting ??= chromium.launch({ executablePath: EXECUTABLE, args: FLAGS });
        const context = await (await starting).newContext();
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
         */
        async visit(t, url, name) {
            const page = await (await profile(t)).newPage();
            const visitor = new Visitor(page);
            await page.goto(url);
            if (name !== undefined) {
                await page.fill('#username', name);
                await page.press('#username', 'Enter');
            }
            await visitor.isConnected();
            return visitor;
        },
    };
}

/** Somebody in front of the page. */
class Visitor {
    /** What the browser's console complained about, and exceptions. @type {string[]} */
    complaints = [];

    /** @param {import('playwright-core').Page} page */
    constructor(page) {
        this.page = page;
        page.on('console', (line) => {
            if (['error', 'warning'].includes(line.type())) this.complaints.push(`${line.type()}: ${line.text()}`);
        });
        page.on('pageerror', (error) => this.complaints.push(String(error)));
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
