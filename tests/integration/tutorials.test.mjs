/**
 * The clients that people really have: the pages of the two Socket.IO tutorials, line for line. They poll first and
 * upgrade then, as the library does by default.
 */
import assert from 'node:assert/strict';
import { CLIENTS } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { anyStack, freshRoom } from './harness/stack.mjs';
import { Changes } from './harness/wait.mjs';

const stack = anyStack();

/** What a page shows, and the line of input under it. */
class Page extends Changes {
    messages = [];

    append(item) {
        this.messages.push(item);
        this.changed();
    }

    async shows(texts) {
        const told = () => `${JSON.stringify(texts)} on the page; there is ${JSON.stringify(this.messages)}`;
        await this.until(() => this.messages.length >= texts.length, told);
        assert.deepEqual(this.messages, texts);
    }
}

/** The script of the official tutorial's page. */
function officialPage(t, io, url) {
    const page = new Page();
    let counter = 0;
    const socket = io(url, {
        ackTimeout: 10000,
        retries: 3,
        auth: { serverOffset: 0 },
    });
    page.submit = (value) => {
        const clientOffset = `${socket.id}-${counter++}`;
        socket.emit('chat message', value, clientOffset);
    };
    socket.on('chat message', (msg, serverOffset) => {
        page.append(msg);
        socket.auth.serverOffset = serverOffset;
    });
    return opened(t, page, socket);
}

/** The script of the older tutorial's page. */
function olderPage(t, io, url, username) {
    const page = new Page();
    const socket = io(url, { auth: { username, serverOffset: 0 } });
    page.submit = (value) => socket.emit('chat message', value);
    socket.on('chat message', (msg, serverOffset, username) => {
        page.append(`${username}: ${msg}`);
        socket.auth.serverOffset = serverOffset;
    });
    return opened(t, page, socket);
}

function opened(t, page, socket) {
    page.socket = socket;
    socket.on('connect', () => page.changed());
    socket.on('disconnect', () => page.changed());
    // The library keeps one manager for each address: it must stay as it is, for the next test's pages.
    t.after(() => socket.disconnect());
    return page;
}

const isConnected = (page) => page.until(() => page.socket.connected, 'a connection');
const isDisconnected = (page) => page.until(() => !page.socket.connected, 'a lost connection');

for (const [version, io] of Object.entries(CLIENTS)) {
    promise(`the_official_tutorials_page_works_with_client_${version}`, {}, async (t) => {
        const room = freshRoom('tutorial');
        const [anna, bert] = stack.urls.slice(0, 2).map((url) => officialPage(t, io, `${url}/${room}`));
        await Promise.all([anna, bert].map(isConnected));
        anna.submit('hello');
        await bert.shows(['hello']);
        bert.submit('hi');
        await anna.shows(['hello', 'hi']);
        anna.submit('hello'); // the same words again are another message
        for (const page of [anna, bert]) await page.shows(['hello', 'hi', 'hello']);
    });

    promise(`the_older_tutorials_page_works_with_client_${version}`, {}, async (t) => {
        const room = freshRoom('tutorial');
        const anna = olderPage(t, io, `${stack.urls[0]}/${room}`, 'anna');
        const bert = olderPage(t, io, `${stack.urls[1]}/${room}`, 'bert');
        await Promise.all([anna, bert].map(isConnected));
        anna.submit('hello');
        await bert.shows(['anna: hello']);
        bert.submit('hi');
        for (const page of [anna, bert]) await page.shows(['anna: hello', 'bert: hi']);
    });

    promise(`a_tutorials_page_catches_up_after_a_lost_connection_with_client_${version}`, {}, async (t) => {
        const room = freshRoom('tutorial');
        const anna = officialPage(t, io, `${stack.urls[0]}/${room}`);
        const bert = olderPage(t, io, `${stack.urls[1]}/${room}`, 'bert');
        await Promise.all([anna, bert].map(isConnected));
        anna.submit('one');
        await bert.shows(['anonymous: one']);
        await anna.shows(['one']);

        bert.socket.io.engine.close();
        await isDisconnected(bert);
        anna.submit('two');
        anna.submit('three');
        await isConnected(bert);
        bert.submit('four');
        await anna.until(() => anna.messages.length >= 4, 'four messages');
        await bert.until(() => bert.messages.length >= 4, 'four messages');
        const texts = bert.messages.map((line) => line.split(': ')[1]);
        assert.deepEqual(texts, anna.messages);
        assert.deepEqual([...texts].sort(), ['four', 'one', 'three', 'two']);
        assert.ok(texts.indexOf('two') < texts.indexOf('three'));
    });

    promise(`what_everyone_types_offline_is_kept_apart_with_client_${version}`, {}, async (t) => {
        const room = freshRoom('tutorial');
        // Both send the client id undefined-0, with the same words and the same name.
        const [anna, bert] = stack.urls.slice(0, 2).map((url) => officialPage(t, io, `${url}/${room}`));
        anna.submit('hello');
        bert.submit('hello');
        for (const page of [anna, bert]) await page.shows(['hello', 'hello']);
    });
}

promise('the_official_tutorials_page_says_all_once_though_its_gateway_dies', { of: stack }, async (t) => {
    const room = freshRoom('tutorial');
    const anna = officialPage(t, CLIENTS.newest, `${stack.urls[0]}/${room}`);
    const bert = officialPage(t, CLIENTS.newest, `${stack.urls[1]}/${room}`);
    await Promise.all([anna, bert].map(isConnected));
    // With retries one message is under way at a time: the rest waits in the page.
    const texts = Array.from({ length: 30 }, (_, i) => `message ${i}`);
    for (const text of texts) anna.submit(text);
    await bert.until(() => bert.messages.length > 0, 'a first message');
    await stack.gateways[0].kill();
    await stack.gateways[0].start();
    for (const page of [bert, anna]) await page.shows(texts);
});

promise('the_lobby_is_the_room_of_a_page_that_names_none', { of: stack }, async (t) => {
    const [anna, bert] = stack.urls.map((url) => officialPage(t, CLIENTS.newest, url));
    await Promise.all([anna, bert].map(isConnected));
    anna.submit('hello');
    for (const page of [anna, bert]) await page.shows(['hello']);
    const rows = await stack.rows(
        "SELECT m.body FROM messages m JOIN rooms r ON r.id = m.room_id WHERE r.name = 'lobby' ORDER BY m.id",
    );
    assert.deepEqual(rows.map((row) => String(row.body)), ['hello']);
});
