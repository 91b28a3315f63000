/**
 * The page behind a balancer: while there is no gateway behind it, and while two versions are.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { oneBrowser } from './harness/browser.mjs';
import { promise } from './harness/promise.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';

const stack = ownStack({ gateways: 1 });
const browser = oneBrowser();

/** What a balancer may do with a request for the page or its files. */
const MODES = {
    well: (answer) => answer,
    /** There is no gateway. */
    gone: () => ({ status: 502, headers: { 'content-type': 'text/html' }, body: '<h1>502 Bad Gateway</h1>' }),
    /** The frame is of a new version, and an old gateway answers for its files. */
    mixed: ({ status, headers, body }, path) =>
        path.startsWith('/-/')
            ? { status, headers: { ...headers, 'cache-control': 'no-store' }, body }
            : { status, headers, body: String(body).replaceAll(/\/-\/[0-9a-f]{16}\//g, '/-/fedcba9876543210/') },
};

/** A balancer that passes on plain HTTP: the page then polls. */
class PlainBalancer {
    mode = 'well';

    static async start(t) {
        const self = new PlainBalancer();
        const server = http.createServer((request, response) => void self.#answer(request, response));
        await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
        t.after(() => {
            server.close();
            server.closeAllConnections();
        });
        self.url = `http://127.0.0.1:${server.address().port}`;
        return self;
    }

    async #answer(request, response) {
        const chunks = [];
        for await (const chunk of request) chunks.push(chunk);
        const { host, connection, 'if-none-match': known, ...headers } = request.headers;
        try {
            if (this.mode === 'gone') throw new Error('no gateway');
            const answer = await fetch(stack.urls[0] + request.url.replace('fedcba9876543210', '0123456789abcdef'), {
                method: request.method,
                headers: { ...headers, origin: stack.urls[0] },
                body: request.method === 'POST' ? Buffer.concat(chunks) : undefined,
            });
            const { 'content-encoding': encoding, 'content-length': length, ...rest } = Object.fromEntries(answer.headers);
            const whole = { status: answer.status, headers: rest, body: Buffer.from(await answer.arrayBuffer()) };
            const isFile = !request.url.startsWith('/socket.io/?');
            const told = isFile ? MODES[this.mode](whole, request.url) : whole;
            response.writeHead(told.status, told.headers).end(told.body);
        } catch {
            const { status, headers: said, body } = MODES.gone();
            response.writeHead(status, said).end(body);
        }
    }
}

/** Somebody behind a balancer, whose browser has kept the page. */
async function visitor(t, device) {
    const balancer = await PlainBalancer.start(t);
    const anna = await browser.visit(t, `${balancer.url}/r/${freshRoom()}`, 'Anna', device);
    await anna.page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    return { balancer, anna };
}

promise('what_a_balancer_says_when_no_gateway_is_left_is_not_shown_in_place_of_the_page', { of: stack }, async (t) => {
    const { balancer, anna } = await visitor(t);
    balancer.mode = 'gone';
    await anna.page.reload();
    await anna.write('meanwhile');
    await anna.message('meanwhile').waitFor();
    await anna.page.reload();
    await anna.message('meanwhile').and(anna.page.locator('[data-state="sending"]')).waitFor();
    balancer.mode = 'well';
    await anna.sees('meanwhile');
});

promise('while_versions_are_rolled_files_of_another_one_are_not_kept', { of: stack }, async (t) => {
    const { balancer, anna } = await visitor(t);
    const kept = () =>
        anna.page.evaluate(async () => {
            const found = [];
            for (const name of await caches.keys())
                for (const { url } of await (await caches.open(name)).keys()) found.push(new URL(url).pathname);
            return found.sort();
        });
    const before = await kept();
    assert.ok(before.includes('/') && before.length > 15, String(before));
    balancer.mode = 'mixed';
    await anna.page.reload();
    await anna.isConnected();
    await anna.write('all the same');
    await anna.sees('all the same');
    // What was kept is whole, and of one version.
    assert.deepEqual((await kept()).filter((path) => path === '/' || !path.includes('fedcba')), before);
    balancer.mode = 'gone';
    await anna.page.reload();
    await anna.write('and offline');
    await anna.message('and offline').waitFor();
});

promise('a_page_in_another_language_comes_without_a_network_too', { of: stack }, async (t) => {
    const { balancer, anna } = await visitor(t, { locale: 'es-ES' });
    const session = await anna.page.context().newCDPSession(anna.page);
    await session.send('Network.clearBrowserCache');
    balancer.mode = 'gone';
    await anna.page.reload();
    await anna.page.getByRole('button', { name: 'Ajustes' }).waitFor();
});
