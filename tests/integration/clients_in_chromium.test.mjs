/**
 * The reference's own clients, the newest and 4.3, over every choice of transports, in Chromium: what clients.test.mjs
 * puts them through in Node, with the files that a page loads.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { oneBrowser } from './harness/browser.mjs';
import * as matrix from './harness/client_matrix.mjs';
import { ownEcho } from './harness/echo.mjs';
import { ROOT } from './harness/parley.mjs';
import { someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { anyStack, freshRoom } from './harness/stack.mjs';
import { WAIT_MS } from './harness/wait.mjs';

const echo = ownEcho('sio-echo');
// A browser on a busy machine takes its time.
const beating = ownEcho('sio-echo', { 'ping-interval': 300, 'ping-timeout': 2000 });
const stack = anyStack();
const browser = oneBrowser();

const CLIENT_PACKAGES = { 4.3: 'socket.io-client-4.3.2', newest: 'socket.io-client' };
const MATRIX = fileURLToPath(new URL('./harness/client_matrix.mjs', import.meta.url));

/** Pages that have nothing but a client in them, one for each origin and version. @type {Map<string, ClientPage>} */
const pages = new Map();

class ClientPage {
    #page;
    #friendSays;

    /**
     * The page is what the server answers where there is none: Chromium lets one that never came over the network open
     * no WebSocket to the loopback.
     */
    static async open(origin, version) {
        const self = new ClientPage();
        const context = await browser.profile();
        await context.route(`${origin}/matrix.mjs`, (route) => route.fulfill({ path: MATRIX, contentType: 'text/javascript' }));
        self.#page = await context.newPage();
        await self.#page.goto(`${origin}/nothing-here`);
        const client = path.join(ROOT, 'node_modules', CLIENT_PACKAGES[version], 'dist/socket.io.min.js');
        await self.#page.addScriptTag({ path: client });
        await self.#page.exposeFunction('friendSays', (text) => self.#friendSays(text));
        return self;
    }

    async run(group, what, { friendSays, ...trial }) {
        this.#friendSays = friendSays;
        await this.#page.evaluate(
            async ({ group, what, trial }) => {
                const matrix = await import('/matrix.mjs');
                await matrix.run(matrix[group][what], { ...trial, io: window.io, friendSays: window.friendSays });
            },
            { group, what, trial: { ...trial, waitMs: WAIT_MS } },
        );
    }

    async close() {
        await this.#page.context().close();
    }
}

/** Runs one of the matrix's scenarios in a page of the server's own origin. */
async function runInPage(version, group, what, trial) {
    const key = `${trial.url} ${version}`;
    if (!pages.has(key)) pages.set(key, await ClientPage.open(trial.url, version));
    try {
        await pages.get(key).run(group, what, trial);
    } catch (error) {
        // What a failed one left behind is not the next one's.
        await pages.get(key).close();
        pages.delete(key);
        throw error;
    }
}

for (const version of Object.keys(CLIENT_PACKAGES))
    for (const [way, [options, transport]] of Object.entries(matrix.WAYS)) {
        const scenarios = (...groups) =>
            groups.flatMap((group) =>
                Object.keys(matrix[group]).map((what) => [group, what, `client_${version}_in_Chromium_with_${way}_${what}`]),
            );
        const ofNewest = (group) => (version === 'newest' ? [group] : []);

        for (const [group, what, name] of scenarios('ON_ECHO', ...ofNewest('ON_ECHO_NEWEST')))
            promise(name, { of: echo }, () => runInPage(version, group, what, { url: echo.url, options, transport }));

        for (const [group, what, name] of scenarios('ON_BEATING_ECHO'))
            promise(name, { of: beating }, () => runInPage(version, group, what, { url: beating.url, options, transport }));

        for (const [group, what, name] of scenarios('IN_CHAT', ...ofNewest('IN_CHAT_NEWEST')))
            promise(name, {}, async (t) => {
                const room = freshRoom();
                const friend = await someoneIn(t, stack.urls[1], { room });
                const friendSays = (text) => friend.say(text);
                await runInPage(version, group, what, { url: stack.urls[0], options, transport, room, friendSays });
            });
    }
