/**
 * What the reference's own clients are put through, over every choice of transports, in Node and in a browser.
 *
 * Imports nothing and uses only what both have, so that a page can load this file as it is.
 */

/** What a client may be told of transports, and which one it ends up with. */
export const WAYS = {
    polling_only: [{ transports: ['polling'] }, 'polling'],
    websocket_only: [{ transports: ['websocket'] }, 'websocket'],
    its_defaults: [{}, 'websocket'],
    upgrade_false: [{ upgrade: false }, 'polling'],
    websocket_first: [{ transports: ['websocket', 'polling'] }, 'websocket'],
    tryAllTransports: [{ tryAllTransports: true, transports: ['websocket', 'polling'] }, 'websocket'],
    rememberUpgrade: [{ rememberUpgrade: true }, 'websocket'],
};

/**
 * @typedef {object} Trial
 * @property {Function} io of a client library
 * @property {string} url of the server
 * @property {object} options what the client is told of transports
 * @property {string} transport which one it ends up with
 * @property {number} waitMs the longest that one thing is waited for
 */

/** On sio-echo. @type {Record<string, (trial: Trial) => Promise<void>>} */
export const ON_ECHO = {
    async talks_text_and_binary_both_ways(trial) {
        const socket = await joined(trial, { auth: { token: 'x' } });
        const args = [1, 'two', { three: new Uint8Array([3, 4]) }, new Uint8Array([5]), null, 'ümläut 😀'];
        for (let round = 0; round < 2; round++) {
            const back = once(trial, socket, 'message-back');
            socket.emit('message', ...args);
            equal(await back, args);
            equal(await acknowledged(trial, socket, 'message-with-ack', ...args), args);
            await isOn(trial, socket);
        }
    },

    async is_told_its_auth_and_Invalid_namespace(trial) {
        const socket = opened(trial, { auth: { n: 1 } }, '/custom');
        equal(await once(trial, socket, 'auth'), [{ n: 1 }]);
        const [error] = await once(trial, socket.io.socket('/nowhere'), 'connect_error');
        equal(error.message, 'Invalid namespace');
        equal(socket.connected, true);
    },

    async has_several_namespaces_on_one_connection(trial) {
        const root = await joined(trial);
        const custom = root.io.socket('/custom');
        await once(trial, custom, 'connect');
        equal(custom.io.engine === root.io.engine, true);
        equal(custom.id === root.id, false);
        root.disconnect();
        root.connect();
        await once(trial, root, 'connect');
        equal(await acknowledged(trial, root, 'message-with-ack', 1), [1]);
        custom.disconnect();
    },

    async gets_volatile_events_through(trial) {
        const socket = await joined(trial);
        let isHeard = false;
        socket.on('message-back', () => (isHeard = true));
        await comesTrue(
            trial,
            () => {
                socket.volatile.emit('message', 'volatile');
                return isHeard;
            },
            'a volatile event to come back',
        );
    },
};

/** On a sio-echo whose heartbeats are short. @type {typeof ON_ECHO} */
export const ON_BEATING_ECHO = {
    async lives_through_short_heartbeats(trial) {
        const socket = await joined(trial);
        let beats = 0;
        socket.io.on('ping', () => beats++);
        await comesTrue(trial, () => beats >= 3, 'three heartbeats');
        equal(await acknowledged(trial, socket, 'message-with-ack', 1), [1]);
    },
};

/** On sio-echo, with what only the newest client has. @type {typeof ON_ECHO} */
export const ON_ECHO_NEWEST = {
    async has_emitWithAck_and_timeout(trial) {
        const socket = await joined(trial);
        equal(await socket.emitWithAck('message-with-ack', 'x'), 'x');
        equal(await socket.timeout(trial.waitMs).emitWithAck('message-with-ack', new Uint8Array([1])), new Uint8Array([1]));
        const refused = await socket.timeout(50).emitWithAck('nobody answers').catch((error) => error);
        equal(refused.message, 'operation has timed out');
    },

    async has_retries_and_ackTimeout(trial) {
        const socket = await joined(trial, { retries: 2, ackTimeout: 2000 });
        const numbers = Array.from({ length: 20 }, (_, n) => n);
        const answers = numbers.map((n) => socket.emitWithAck('message-with-ack', n));
        equal(await within(trial, Promise.all(answers), 'twenty acknowledgements'), numbers);
    },

    async gives_up_after_its_retries_and_goes_on_with_the_next(trial) {
        const socket = await joined(trial, { retries: 2, ackTimeout: 50 });
        const story = [];
        socket.io.engine.on('packetCreate', ({ data }) => /nobody answers/.test(data) && story.push('try'));
        const first = socket.emitWithAck('nobody answers').catch((error) => story.push(error.message));
        await within(trial, first, 'the end of the retries');
        equal(story, ['try', 'try', 'try', 'operation has timed out']);
        const next = socket.emitWithAck('message', 'not acknowledged either').catch((error) => error.message);
        const [back] = await once(trial, socket, 'message-back');
        equal(back, 'not acknowledged either');
        equal(await within(trial, next, 'the end of the retries'), 'operation has timed out');
    },
};

/**
 * In the chat.
 *
 * @typedef {object} InChat
 * @property {string} room a fresh one
 * @property {(text: string) => Promise<object>} friendSays somebody else in the room says something
 * @type {Record<string, (trial: Trial & InChat) => Promise<void>>}
 */
export const IN_CHAT = {
    async chats_and_recovers(trial) {
        const seen = [];
        const joins = [];
        const socket = opened(trial, { ...SOON_AGAIN, auth: { serverOffset: 0 } }, `/${trial.room}`);
        socket.on('connect', () => joins.push({ id: socket.id, recovered: socket.recovered }));
        socket.on('chat message', (content, id) => {
            seen.push([Number(id), content]);
            socket.auth.serverOffset = id; // what 4.3 recovers by
        });
        const hasSeen = (count) => comesTrue(trial, () => seen.length >= count, () => `${count} messages; ${text(seen)}`);

        equal((await acknowledged(trial, socket, 'chat message', 'one'))[0].id, '1');
        equal((await trial.friendSays('two')).id, '2');
        await hasSeen(2);
        await isOn(trial, socket);
        const left = once(trial, socket, 'disconnect');
        socket.io.engine.close();
        await left;
        await trial.friendSays('three');
        await comesTrue(trial, () => joins.length === 2, 'the second join');
        await trial.friendSays('four');
        await hasSeen(4);
        equal(seen, [[1, 'one'], [2, 'two'], [3, 'three'], [4, 'four']]);
        if ('recovered' in socket) equal(joins.map((join) => join.recovered), [false, true]);
        if ('recovered' in socket) equal(joins[1].id, joins[0].id);
    },

    async is_told_that_chat_takes_no_binary_content(trial) {
        const socket = await joined(trial, {}, `/${trial.room}`);
        equal((await acknowledged(trial, socket, 'chat message', new Uint8Array([1])))[0].code, 'invalid_message');
        equal((await acknowledged(trial, socket, 'chat message', 'fine'))[0].id, '1');
    },

    async is_in_several_rooms_on_one_connection(trial) {
        const here = await joined(trial, { auth: { username: 'anna' } }, `/${trial.room}`);
        const there = here.io.socket(`/${trial.room}-2`, { auth: { username: 'berta' } });
        await once(trial, there, 'connect');
        equal(there.io.engine === here.io.engine, true);
        for (const [socket, name] of [[here, 'anna'], [there, 'berta']]) {
            const heard = once(trial, socket, 'chat message');
            equal((await acknowledged(trial, socket, 'chat message', `I am ${name}`))[0].id, '1');
            equal((await heard).slice(0, 3), [`I am ${name}`, '1', name]);
        }
    },
};

/** In the chat, with what only the newest client has. @type {typeof IN_CHAT} */
export const IN_CHAT_NEWEST = {
    async says_each_once_with_retries_over_a_lost_connection(trial) {
        const seen = [];
        const socket = opened(trial, { ...SOON_AGAIN, retries: 10, ackTimeout: trial.waitMs / 10 }, `/${trial.room}`);
        socket.on('chat message', (content) => seen.push(content));
        await once(trial, socket, 'connect');
        const texts = Array.from({ length: 10 }, (_, n) => `message ${n}`);
        const answers = texts.map((content, n) =>
            socket.emitWithAck('chat message', content, `${trial.room}-message-${n}`),
        );
        await within(trial, answers[2], 'an acknowledgement');
        socket.io.engine.close();
        const ids = (await within(trial, Promise.all(answers), 'ten acknowledgements')).map(({ id }) => Number(id));
        equal(ids, texts.map((_, n) => n + 1));
        await comesTrue(trial, () => seen.length >= texts.length, 'ten messages');
        equal(seen, texts);
    },
};

const SOON_AGAIN = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 250 };

/** Runs one of the above; what it opened is closed, however it ends. */
export async function run(scenario, trial) {
    const sockets = [];
    try {
        await scenario({ ...trial, sockets });
    } finally {
        for (const socket of sockets) {
            socket.disconnect();
            socket.io.engine?.close(); // also where another namespace holds the connection
        }
    }
}

/* --- what they are written with ---------------------------------------------------------------------------------------- */

/** A client, not connected yet. */
function opened({ io, url, options, sockets }, more = {}, namespace = '/') {
    const socket = io(url + namespace, { forceNew: true, reconnection: false, ...options, ...more });
    sockets.push(socket);
    return socket;
}

async function joined(trial, more, namespace) {
    const socket = opened(trial, more, namespace);
    await once(trial, socket, 'connect');
    return socket;
}

/** The arguments of the next event of that name. */
function once(trial, socket, event) {
    return within(trial, new Promise((resolve) => socket.once(event, (...args) => resolve(args))), event);
}

function acknowledged(trial, socket, ...args) {
    const answer = new Promise((resolve) => socket.emit(...args, (...answers) => resolve(answers)));
    return within(trial, answer, `the acknowledgement of ${args[0]}`);
}

const isOn = (trial, socket) =>
    comesTrue(trial, () => socket.io.engine.transport.name === trial.transport, `the transport ${trial.transport}`);

async function comesTrue({ waitMs }, condition, what) {
    const deadline = Date.now() + waitMs;
    while (!condition()) {
        if (Date.now() > deadline) throw inVain(what, waitMs);
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
}

function within({ waitMs }, promise, what) {
    let timer;
    const limit = new Promise((_, reject) => {
        timer = setTimeout(() => reject(inVain(what, waitMs)), waitMs);
    });
    return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

function inVain(what, waitMs) {
    return new Error(`waited in vain for ${typeof what === 'function' ? what() : what} (${waitMs} ms)`);
}

function equal(actual, expected) {
    if (text(actual) !== text(expected)) throw new Error(`expected ${text(expected)}, but got ${text(actual)}`);
}

/** A value as text; bytes look the same, whatever holds them: a Buffer in Node, an ArrayBuffer in a browser. */
function text(value) {
    return JSON.stringify(plain(value));
}

function plain(value) {
    if (value instanceof ArrayBuffer) return { bytes: [...new Uint8Array(value)] };
    if (ArrayBuffer.isView(value)) return { bytes: [...value] };
    if (Array.isArray(value)) return value.map(plain);
    if (value === null || typeof value !== 'object') return value === undefined ? 'undefined' : value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]));
}
