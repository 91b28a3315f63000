/**
 * A session's requests at any gateway, one by one: what the owner would answer is answered everywhere, and a WebSocket
 * takes the session to where it is.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { Balancer } from './harness/balancer.mjs';
import { WAYS, range, someone, someoneIn } from './harness/person.mjs';
import { Polling, SEPARATOR, request } from './harness/polling.mjs';
import { promise } from './harness/promise.mjs';
import { RawWebSocket, frame } from './harness/raw_websocket.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { Changes, PATIENCE, eventually, within } from './harness/wait.mjs';

const stack = ownStack({ gateways: 3 });
const beating = ownStack({ gateways: 3, gatewayEnv: { PING_INTERVAL: '300ms', PING_TIMEOUT: '200ms' } });

/** The gateway that a session is opened at, and two others. */
const [OWNER, OTHER, THIRD] = [0, 1, 2];
const ALL = [OWNER, OTHER, THIRD];

/** The limits that a peer's death may take to be noticed, ms. */
const DEATH_MS = 3000 * PATIENCE;
const FREEZE_MS = 10_000 * PATIENCE;
/** A gateway that says nothing is taken for dead after five seconds, and a bit. */
const SILENCE_MS = 8000 * PATIENCE;
/** "At once": without waiting for any time to run out, ms. */
const AT_ONCE_MS = 700 * PATIENCE;

/** A polling session of one gateway whose requests go to any, and the rooms that it is in. */
class Guest {
    /** What came that was no ping and no noop, and was not read yet. @type {string[]} */
    #packets = [];
    #acks = 0;

    /**
     * @param {import('node:test').TestContext} t
     * @param {object} [wishes]
     * @param {string} [wishes.room]
     * @param {object} [wishes.auth]
     * @param {import('./harness/stack.mjs').Stack} [wishes.of]
     */
    static async arrive(t, { room = freshRoom(), auth, of = stack } = {}) {
        const guest = new Guest();
        Object.assign(guest, { of, room });
        guest.polling = await Polling.open(t, { url: of.gateways[OWNER].url, path: '/socket.io/' });
        assert.match(await guest.join(room, auth), new RegExp(`^40/${room},\\{"sid":`));
        return guest;
    }

    /** Its session at a gateway. @returns {Polling} */
    at(index) {
        return this.polling.at(this.of.gateways[index].url);
    }

    async join(room, auth, index = OWNER) {
        assert.equal((await this.at(index).post(`40/${room},${auth ? JSON.stringify(auth) : ''}`)).text, 'ok');
        return this.packet(index);
    }

    /** The packet of a message with an acknowledgement, whose number goes up. */
    saying(content, { room = this.room, clientId = randomUUID() } = {}) {
        return `42/${room},${++this.#acks}${JSON.stringify(['chat message', content, clientId])}`;
    }

    /** Posts messages, in one payload. */
    async say(index, ...contents) {
        const answer = await this.at(index).post(contents.map((content) => this.saying(content)).join(SEPARATOR));
        assert.equal(answer.text, 'ok');
    }

    /** One GET; its packets are kept for packet(). */
    async poll(index) {
        const { status, text } = await this.at(index).get();
        assert.equal(status, 200, `GET at ${index}: ${text}`);
        for (const packet of text.split(SEPARATOR)) {
            if (packet === '2') await this.at(index).post('3');
            else if (packet !== '6') this.#packets.push(packet);
        }
        return text;
    }

    /** The next packet by polling. */
    async packet(index) {
        while (this.#packets.length === 0) await this.poll(index);
        return this.#packets.shift();
    }

    /** The next packets by polling, told in short; each GET at the next of the gateways. */
    async hears(count, indices = ALL) {
        const heard = [];
        for (let n = 0; heard.length < count; n++) heard.push(told(await this.packet(indices[n % indices.length])));
        return heard;
    }

    /** Packets that polling has brought already, told in short. */
    get heardAlready() {
        return this.#packets.splice(0).map(told);
    }

    /** A GET that waits at a gateway. */
    async waiting(index) {
        const waiting = this.at(index).get();
        // What is asked by the same way later is answered later.
        for (let i = 0; i < 3; i++) assert.equal(await this.at(index).isKnown(), true);
        return { answer: waiting };
    }

    /** Whether each of the gateways in turn answers for the session; all the same. */
    async isKnown(indices = ALL) {
        const known = [];
        for (const index of indices) known.push(await this.at(index).isKnown());
        assert.equal(new Set(known).size, 1, `${known}`);
        return known[0];
    }
}

/** What a packet of Socket.IO says, in short: `message CONTENT ID` or `ack NUMBER ID`. */
function told(packet) {
    const [, type, ack, json] = packet.match(/^4(\d)(?:\/[^,]+,)?(\d*)(.*)$/s) ?? assert.fail(packet);
    const [first, content, id] = JSON.parse(json);
    return type === '3' ? `ack ${ack} ${first.id ?? first.code ?? first.status}` : `${first.replace('chat ', '')} ${content} ${id}`;
}

/** The next texts of a WebSocket, told in short. */
async function hears(raw, count) {
    const heard = [];
    while (heard.length < count) heard.push(told(await raw.text()));
    return heard;
}

/** Every message and every acknowledgement once, the messages in order, each acknowledgement behind its own copy. */
function sawItsOwn(heard, contents) {
    const messages = contents.map((content, i) => `message ${content} ${i + 1}`);
    assert.deepEqual(heard.filter((line) => line.startsWith('message ')), messages);
    const acks = contents.map((_, i) => `ack ${i + 1} ${i + 1}`);
    assert.deepEqual(heard.filter((line) => line.startsWith('ack ')).sort(), [...acks].sort());
    for (const [i, ack] of acks.entries()) assert.ok(heard.indexOf(messages[i]) < heard.indexOf(ack), `${ack}: ${heard}`);
}

const isRefused = ({ status, text }, code, message) => {
    assert.equal(text, JSON.stringify({ code, message }));
    assert.equal(status, 400);
};
const isMoved = (answer) => isRefused(answer, 3, 'Bad request');
const isUnknown = (answer) => isRefused(answer, 1, 'Session ID unknown');

/** Waits until the takeover is known to everyone. */
async function movedAway(guest, indices = ALL) {
    for (const index of indices)
        await eventually(async () => {
            const { status, text } = await guest.at(index).post('3');
            return status === 400 && JSON.parse(text).code === 3;
        }, `polling to be refused with code 3 at ${index}`);
}

/* --- relayed requests ------------------------------------------------------------------------------------------------- */

for (const [get, post] of [[OTHER, OTHER], [OTHER, OWNER], [OWNER, OTHER], [OTHER, THIRD]])
    promise(`GET_at_${get}_and_POST_at_${post}_serve_a_session_of_gateway_0`, { of: stack }, async (t) => {
        const guest = await Guest.arrive(t);
        const bert = await someoneIn(t, stack.urls[THIRD], { room: guest.room });
        for (const n of range(1, 10)) {
            await guest.say(post, `mine ${n}`);
            assert.deepEqual(await guest.hears(2, [get]), [`message mine ${n} ${2 * n - 1}`, `ack ${n} ${2 * n - 1}`]);
            const { answer } = await guest.waiting(get);
            await bert.say(`yours ${n}`);
            assert.equal(told((await answer).text), `message yours ${n} ${2 * n}`);
        }
        bert.sawExactly(1, 20);
    });

promise('a_namespace_is_joined_and_left_and_refused_from_any_gateway', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const other = freshRoom();
    assert.match(await guest.join(other, undefined, OTHER), new RegExp(`^40/${other},\\{"sid":`));
    assert.equal(await guest.join('lobby', undefined, THIRD), '44/lobby,{"message":"Invalid namespace"}');
    await guest.at(OTHER).post(`41/${other},`);
    assert.match(await guest.join(other, undefined, THIRD), new RegExp(`^40/${other},\\{"sid":`));
});

promise('many_packets_in_turn_at_all_gateways_keep_their_order_and_come_once', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const texts = range(1, 90).map((n) => `m${n}`);
    for (const [i, text] of texts.entries()) await guest.say(i % 3, text);
    sawItsOwn(await guest.hears(180), texts);
});

promise('an_answer_has_the_same_headers_wherever_it_is_asked_for', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const [got, posted] = [[], []];
    for (const index of ALL) {
        posted.push(await guest.at(index).post(guest.saying('x'.repeat(5000))));
        // The copy and its acknowledgement may come in one answer or in two.
        const first = await guest.at(index).get({ 'Accept-Encoding': 'gzip' });
        const text = gunzipSync(first.bytes).toString();
        if (!text.includes(SEPARATOR)) await guest.packet(index);
        got.push(first);
    }
    for (const answers of [got, posted])
        for (const { status, headers } of answers) {
            const { 'content-length': length, date, ...rest } = headers;
            const { 'content-length': ownLength, date: ownDate, ...own } = answers[0].headers;
            assert.deepEqual([status, rest], [200, own]);
            assert.deepEqual(length === undefined, ownLength === undefined);
        }
    assert.equal(got[1].headers['content-encoding'], 'gzip');
    assert.equal(got[1].headers['content-type'], 'text/plain; charset=UTF-8');
    assert.equal(got[1].headers['cache-control'], 'no-store');
    for (const index of ALL) {
        const refused = await request(guest.at(index).url, guest.polling.target, { method: 'PUT' });
        assert.equal(refused.status, 400);
    }
    assert.equal(await guest.isKnown(), true);
});

promise('a_body_near_the_maximum_and_answers_as_large_are_relayed', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, { auth: { serverOffset: 0 } });
    const texts = range(1, 61).map((n) => `${n} ${'x'.repeat(16_000)}`);
    const body = texts.map((text) => guest.saying(text)).join(SEPARATOR);
    assert.ok(body.length > 900_000 && body.length < 1_000_000, `${body.length}`);
    assert.equal((await guest.at(OTHER).post(body)).text, 'ok');
    sawItsOwn(await guest.hears(122, [OTHER, THIRD]), texts);
    // All of it again, for one who was not there.
    const late = await Guest.arrive(t, { room: guest.room, auth: { serverOffset: 0 } });
    const heard = await late.hears(61, [OTHER]);
    assert.deepEqual(heard, texts.map((text, i) => `message ${text} ${i + 1}`));
});

promise('a_packet_of_the_maximum_is_relayed_whole', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const head = `42/${guest.room},1["chat message","`;
    for (const index of [OWNER, OTHER]) {
        const body = `${head}${'x'.repeat(1_000_000 - head.length - 2)}"]`;
        assert.equal(body.length, 1_000_000);
        assert.equal((await guest.at(index).post(body)).text, 'ok');
        assert.deepEqual(await guest.hears(1, [index]), ['ack 1 too_large']);
    }
});

promise('a_body_over_the_maximum_is_413_everywhere', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    for (const index of ALL)
        for (const length of [1_000_001, 1_900_000])
            assert.equal((await guest.at(index).post('4'.repeat(length))).status, 413, `${length} bytes at ${index}`);
    await guest.say(OTHER, 'still here');
    assert.deepEqual(await guest.hears(2), ['message still here 1', 'ack 1 1']);
});

promise('binary_packets_are_taken_at_any_gateway_also_in_parts', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const event = (ack) => `451-/${guest.room},${ack}["chat message",{"_placeholder":true,"num":0}]`;
    for (const [i, [head, attachment]] of [[OWNER, OWNER], [OTHER, OTHER], [OTHER, THIRD], [OWNER, OTHER]].entries()) {
        if (head === attachment) {
            await guest.at(head).post(`${event(i)}${SEPARATOR}bAQI=`);
        } else {
            await guest.at(head).post(event(i));
            await guest.at(attachment).post('bAQI=');
        }
        assert.deepEqual(await guest.hears(1, [OTHER]), [`ack ${i} invalid_message`]);
    }
    await guest.say(THIRD, 'text');
    assert.match((await guest.hears(2)).join(), /^message text 1,ack 1 1$/);
});

promise('a_malformed_payload_ends_the_session_the_same_way_everywhere', { of: stack }, async (t) => {
    for (const body of ['abc', '', `4ok${SEPARATOR}`, 'b*', '2', '4', `451-["x",{"_placeholder":true,"num":0}]${SEPARATOR}4x`]) {
        const answers = [];
        for (const index of ALL) {
            const guest = await Guest.arrive(t);
            const { answer } = await guest.waiting(index);
            const { status, text } = await guest.at(index).post(body);
            assert.equal(await guest.isKnown(), false, JSON.stringify(body));
            const ended = await answer;
            answers.push([status, text, ended.status, ended.text]);
        }
        assert.deepEqual(answers, ALL.map(() => answers[0]), JSON.stringify(body));
    }
});

promise('a_POST_of_octet_stream_is_400_everywhere_and_the_session_is_dead', { of: stack }, async (t) => {
    for (const index of ALL) {
        const guest = await Guest.arrive(t);
        const answer = await guest.at(index).post(Buffer.from([4, 1]), { 'Content-Type': 'application/octet-stream' });
        assert.equal(answer.status, 400);
        assert.equal(await guest.isKnown(), false);
    }
});

for (const [first, second] of [[OWNER, OTHER], [OTHER, OWNER], [OTHER, THIRD], [OTHER, OTHER]])
    promise(`a_second_GET_at_${second}_while_one_waits_at_${first}_ends_the_session`, { of: stack }, async (t) => {
        const guest = await Guest.arrive(t);
        const { answer } = await guest.waiting(first);
        assert.equal((await guest.at(second).get()).status, 400);
        assert.deepEqual([(await answer).status, (await answer).text], [200, '1']);
        assert.equal(await guest.isKnown(), false);
    });

promise('a_client_that_sends_1_is_gone_and_its_waiting_GET_gets_6_wherever_both_are', { of: stack }, async (t) => {
    for (const [get, post] of [[OTHER, OTHER], [OTHER, THIRD], [OWNER, OTHER], [OTHER, OWNER]]) {
        const guest = await Guest.arrive(t);
        const { answer } = await guest.waiting(get);
        assert.equal((await guest.at(post).post('1')).text, 'ok');
        assert.equal((await answer).text, '6');
        assert.equal(await guest.isKnown(), false);
    }
});

promise('an_aborted_GET_at_another_gateway_ends_the_session_at_once', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const { answer } = await guest.waiting(OTHER);
    answer.abort();
    await eventually(async () => !(await guest.at(OWNER).isKnown()), 'the session to be over', AT_ONCE_MS);
    assert.equal(await guest.isKnown(), false);
});

promise('two_hundred_sessions_of_one_gateway_wait_at_another_and_all_are_served', { of: stack }, async (t) => {
    const room = freshRoom();
    const guests = await Promise.all(range(1, 200).map(() => Guest.arrive(t, { room })));
    const anna = await someoneIn(t, stack.urls[THIRD], { room });
    for (const n of range(1, 5)) {
        const waiting = guests.map((guest) => guest.at(OTHER).get());
        await anna.say(`${n}`);
        for (const answer of await Promise.all(waiting)) assert.equal(told(answer.text), `message ${n} ${n}`);
    }
    const closing = guests.map((guest) => guest.at(THIRD).post('1'));
    for (const answer of await Promise.all(closing)) assert.equal(answer.text, 'ok');
});

/* --- sessions that nobody knows --------------------------------------------------------------------------------------- */

/** The part of the session ids of one gateway that they have in common. */
async function prefixOf(t, index) {
    const server = { url: stack.gateways[index].url, path: '/socket.io/' };
    const sids = [];
    for (let i = 0; i < 12; i++) sids.push((await Polling.open(t, server)).handshake.sid);
    let length = 0;
    while (sids.every((sid) => sid[length] === sids[0][length])) length++;
    assert.ok(length >= 4 && length < sids[0].length - 6, `the owner is named, and a random part is left: ${sids.slice(0, 3)}`);
    return { prefix: sids[0].slice(0, length), rest: sids[0].length - length };
}

async function isUnknownEverywhere(t, sid, indices = ALL) {
    const query = `EIO=4&sid=${encodeURIComponent(sid)}`;
    for (const index of indices) {
        const { url } = stack.gateways[index];
        for (const method of ['GET', 'POST']) {
            const since = performance.now();
            isUnknown(await request(url, `/socket.io/?${query}&transport=polling`, { method, body: method === 'POST' ? '3' : undefined }));
            assert.ok(performance.now() - since < AT_ONCE_MS, `${method} of ${sid} at ${index}: ${performance.now() - since} ms`);
        }
        const since = performance.now();
        const raw = await RawWebSocket.ask(t, url, `/socket.io/?${query}&transport=websocket`);
        await raw.ended();
        assert.match(raw.answer, /^HTTP\/1\.1 400 /);
        assert.equal(raw.refusal, 'Session ID unknown');
        assert.ok(performance.now() - since < AT_ONCE_MS, `WebSocket of ${sid} at ${index}`);
    }
}

promise('a_session_id_of_a_living_gateway_that_it_does_not_know_is_refused_at_once', { of: stack }, async (t) => {
    const { prefix, rest } = await prefixOf(t, OWNER);
    await isUnknownEverywhere(t, prefix + 'A'.repeat(rest));
});

promise('a_session_id_that_is_malformed_is_refused_at_once', { of: stack }, async (t) => {
    const { prefix, rest } = await prefixOf(t, OWNER);
    const tail = 'A'.repeat(rest - 1);
    for (const sid of [
        'nobody', 'A'.repeat(20), prefix, `${prefix}${tail}`, `${prefix}${tail}AA`, `${prefix}${tail}*`, `${prefix}${tail}.`,
        `${prefix}${tail}\0`, `${prefix}${tail} `, '>'.repeat(20), '*'.repeat(20), '.'.repeat(20), 'ä'.repeat(10), 'x'.repeat(2000),
        prefix.toLowerCase() === prefix ? prefix.toUpperCase() + tail + 'A' : prefix.toLowerCase() + tail + 'A',
    ])
        await isUnknownEverywhere(t, sid);
});

promise('a_session_id_of_a_gateway_that_is_dead_is_refused_at_once', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    await stack.gateways[OWNER].kill();
    await isUnknownEverywhere(t, guest.polling.handshake.sid, [OTHER, THIRD]);
    await stack.gateways[OWNER].start();
    await isUnknownEverywhere(t, guest.polling.handshake.sid);
});

/* --- the owner or the relaying gateway goes away ---------------------------------------------------------------------- */

/** How a request ended that was not answered as the client wished: its status, or `cut`. */
const endOf = (answer) => answer.then(({ status }) => status, () => 'cut');

promise('a_GET_that_waits_elsewhere_ends_when_the_owner_is_killed', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const { answer } = await guest.waiting(OTHER);
    await stack.gateways[OWNER].kill();
    const end = await within(endOf(answer), 'the end of the GET', DEATH_MS);
    assert.ok([400, 502, 503, 'cut'].includes(end), `${end}`);
    assert.equal(await guest.isKnown([OTHER, THIRD]), false);
    await stack.gateways[OWNER].start();
});

promise('a_GET_that_waits_elsewhere_ends_when_the_owner_is_frozen_and_the_session_with_it', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const { answer } = await guest.waiting(OTHER);
    stack.gateways[OWNER].child.signal('SIGSTOP');
    const end = await within(endOf(answer), 'the end of the GET', FREEZE_MS);
    assert.ok([400, 502, 503, 504, 'cut'].includes(end), `${end}`);
    stack.gateways[OWNER].child.signal('SIGCONT');
    await eventually(async () => !(await guest.at(OWNER).isKnown()), 'the session to be over');
});

promise('a_POST_to_a_frozen_owner_ends_and_is_not_done_later_as_well_as_again', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const bert = await someoneIn(t, stack.urls[THIRD], { room: guest.room });
    stack.gateways[OWNER].child.signal('SIGSTOP');
    const end = await within(endOf(guest.at(OTHER).post(guest.saying('perhaps'))), 'the end of the POST', FREEZE_MS);
    assert.ok([400, 502, 503, 504, 'cut'].includes(end), `${end}`);
    stack.gateways[OWNER].child.signal('SIGCONT');
    await eventually(async () => !(await guest.at(OWNER).isKnown()), 'the session to be over');
    await bert.say('afterwards');
    assert.ok(bert.contents.filter((text) => text === 'perhaps').length <= 1);
});

promise('a_GET_that_waits_elsewhere_ends_when_the_owner_is_asked_to_end', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const { answer } = await guest.waiting(OTHER);
    assert.deepEqual(await stack.gateways[OWNER].stop(), { code: 0, signal: null });
    await within(endOf(answer), 'the end of the GET', DEATH_MS);
    assert.equal(await guest.isKnown([OTHER, THIRD]), false);
    await stack.gateways[OWNER].start();
});

promise('a_relaying_gateway_that_is_asked_to_end_gives_its_waiting_GETs_a_noop_and_the_sessions_live', { of: stack }, async (t) => {
    const guests = await Promise.all(range(1, 10).map(() => Guest.arrive(t)));
    const answers = [];
    for (const guest of guests) answers.push((await guest.waiting(OTHER)).answer);
    assert.deepEqual(await stack.gateways[OTHER].stop(), { code: 0, signal: null });
    for (const answer of answers) assert.deepEqual([(await answer).status, (await answer).text], [200, '6']);
    for (const guest of guests) {
        await guest.say(THIRD, 'still here');
        assert.deepEqual(await guest.hears(2, [THIRD, OWNER]), ['message still here 1', 'ack 1 1']);
    }
    await stack.gateways[OTHER].start();
    await guests[0].say(OTHER, 'and here');
    assert.deepEqual(await guests[0].hears(2), ['message and here 2', 'ack 2 2']);
});

promise('a_relaying_gateway_that_is_killed_ends_the_session_that_waited_there_or_leaves_it_whole', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const { answer } = await guest.waiting(OTHER);
    await stack.gateways[OTHER].kill();
    assert.equal(await endOf(answer), 'cut');
    // As an aborted GET, or as one that is still awaited when the next comes.
    const next = await guest.at(THIRD).get();
    assert.equal(next.status, 400);
    await eventually(async () => !(await guest.isKnown([OWNER, THIRD])), 'the session to be over');
    await stack.gateways[OTHER].start();
});

/* --- the upgrade at another gateway ----------------------------------------------------------------------------------- */

for (const waitsAt of ALL)
    promise(`a_probe_at_another_gateway_gives_a_noop_to_a_GET_that_waits_at_${waitsAt}_and_to_every_later_one`, { of: stack }, async (t) => {
        const guest = await Guest.arrive(t);
        const { answer } = await guest.waiting(waitsAt);
        const raw = await guest.at(OTHER).probed();
        assert.equal((await answer).text, '6');
        for (const index of [...ALL, ...ALL]) assert.equal((await guest.at(index).get()).text, '6');
        raw.send('5');
        raw.send(guest.saying('moved'));
        assert.deepEqual(await hears(raw, 2), ['message moved 1', 'ack 1 1']);
        assert.ok(!raw.frames.some(({ payload }) => payload.toString() === '6'), 'no noop on the WebSocket');
    });

promise('a_WebSocket_alone_changes_nothing_until_it_probes', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const raw = await guest.at(OTHER).websocket();
    for (const index of ALL) await guest.say(index, `at ${index}`);
    sawItsOwn(await guest.hears(6), ALL.map((index) => `at ${index}`));
    raw.send('2probe');
    assert.equal(await raw.text(), '3probe');
});

for (const index of [OWNER, OTHER])
    promise(`polling_is_refused_with_code_3_at_every_gateway_behind_an_upgrade_at_${index}`, { of: stack }, async (t) => {
        const guest = await Guest.arrive(t);
        const raw = await guest.at(index).upgraded();
        raw.send(guest.saying('moved'));
        await hears(raw, 2);
        for (const at of ALL) {
            const since = performance.now();
            isMoved(await guest.at(at).get());
            isMoved(await guest.at(at).post(guest.saying('not this way')));
            assert.ok(performance.now() - since < 2 * AT_ONCE_MS, 'at once');
        }
        raw.send(guest.saying('still here'));
        assert.match((await hears(raw, 2)).join(), /^message still here 2,/);
    });

promise('what_is_said_during_the_upgrade_comes_once_and_in_order', { of: stack }, async (t) => {
    for (const index of [OTHER, OWNER]) {
        const guest = await Guest.arrive(t);
        const bert = await someoneIn(t, stack.urls[THIRD], { room: guest.room });
        await bert.say('before');
        const heard = await guest.hears(1);
        const raw = await guest.at(index).probed();
        for (const n of range(1, 9)) {
            await bert.say(`during ${n}`);
            if (n % 3 === 0) await guest.poll(ALL[n % 2]);
        }
        heard.push(...guest.heardAlready);
        raw.send('5');
        await bert.say('after');
        const count = 11 - heard.length;
        heard.push(...(await hears(raw, count)));
        assert.deepEqual(heard, bert.contents.map((text, i) => `message ${text} ${i + 1}`));
        await bert.say('the end');
        assert.deepEqual(await hears(raw, 1), ['message the end 12']);
    }
});

for (const first of [OTHER, OWNER])
    for (const second of ALL) {
        promise(`a_second_WebSocket_at_${second}_during_the_upgrade_at_${first}_gets_101_and_is_closed`, { of: stack }, async (t) => {
            const guest = await Guest.arrive(t);
            const raw = await guest.at(first).probed();
            const late = await guest.at(second).websocket();
            assert.match(late.answer, /^HTTP\/1\.1 101 /);
            await late.ended();
            raw.send('5');
            raw.send(guest.saying('on the first'));
            assert.deepEqual(await hears(raw, 2), ['message on the first 1', 'ack 1 1']);
        });

        promise(`a_second_WebSocket_at_${second}_behind_the_upgrade_at_${first}_gets_101_and_is_closed`, { of: stack }, async (t) => {
            const guest = await Guest.arrive(t);
            const raw = await guest.at(first).upgraded();
            raw.send(guest.saying('moved'));
            await hears(raw, 2);
            const late = await guest.at(second).websocket();
            assert.match(late.answer, /^HTTP\/1\.1 101 /);
            await late.ended();
            raw.send(guest.saying('on the first'));
            assert.match((await hears(raw, 2)).join(), /^message on the first 2,/);
        });
    }

promise('an_upgrade_at_another_gateway_that_is_not_completed_ends_its_WebSocket_alone', { of: stack }, async (t) => {
    const UPGRADE_TIMEOUT_MS = 10_000;
    const unfinished = ['websocket', 'probed'].map(async (stage) => {
        const guest = await Guest.arrive(t);
        const since = performance.now();
        const raw = await guest.at(OTHER)[stage]();
        await raw.ended();
        const lasted = performance.now() - since;
        assert.ok(lasted > UPGRADE_TIMEOUT_MS - 10 && lasted < UPGRADE_TIMEOUT_MS + 2000 * PATIENCE, `${lasted} ms`);
        await guest.say(THIRD, 'still polling');
        assert.deepEqual(await guest.hears(2), ['message still polling 1', 'ack 1 1']);
        const again = await guest.at(THIRD).upgraded();
        again.send(guest.saying('moved'));
        assert.deepEqual(await hears(again, 2), ['message moved 2', 'ack 2 2']);
    });
    await Promise.all(unfinished);
});

for (const stage of ['websocket', 'probed'])
    promise(`a_WebSocket_at_another_gateway_that_dies_when_${stage}_leaves_the_session_polling`, { of: stack }, async (t) => {
        const guest = await Guest.arrive(t);
        (await guest.at(OTHER)[stage]()).socket.resetAndDestroy();
        await guest.say(THIRD, 'still polling');
        assert.deepEqual(await guest.hears(2), ['message still polling 1', 'ack 1 1']);
        // A GET waits again, rather than be given one noop after another.
        await eventually(async () => {
            const waiting = guest.at(OTHER).get();
            const known = [await guest.at(OTHER).isKnown(), await guest.at(OTHER).isKnown()];
            assert.deepEqual(known, [true, true]);
            const isOver = await Promise.race([waiting, new Promise((resolve) => setImmediate(() => resolve(null)))]);
            if (isOver) return false;
            await guest.at(OTHER).post(guest.saying('for the GET that waits'));
            return /^message for the GET/.test(told((await waiting).text.split(SEPARATOR)[0]));
        }, 'a GET that waits');
        const again = await guest.at(OTHER).upgraded();
        again.send(guest.saying('moved'));
        await again.textLike((text) => text.includes('"moved"'));
    });

for (const packet of ['5', '4hello', '2another', 'x'])
    promise(`${packet}_instead_of_the_probe_at_another_gateway_closes_the_WebSocket_alone`, { of: stack }, async (t) => {
        const guest = await Guest.arrive(t);
        const raw = await guest.at(OTHER).websocket();
        raw.send(packet);
        await raw.ended();
        await guest.say(OTHER, 'still polling');
        assert.deepEqual(await guest.hears(2), ['message still polling 1', 'ack 1 1']);
    });

promise('a_gateway_that_dies_during_the_upgrade_there_leaves_the_session_polling', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const raw = await guest.at(OTHER).probed();
    await stack.gateways[OTHER].kill();
    await raw.ended();
    // The client gives up its probe and polls on: it is not kept busy with noops until the upgrade's time is up.
    await guest.say(THIRD, 'still polling');
    const heard = await within(guest.hears(2, [OWNER, THIRD]), 'what was said', SILENCE_MS);
    assert.deepEqual(heard.sort(), ['ack 1 1', 'message still polling 1']);
    await stack.gateways[OTHER].start();
});

promise('the_end_of_the_session_ends_the_upgrades_WebSocket_at_another_gateway', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const raw = await guest.at(OTHER).probed();
    await guest.at(THIRD).post('1');
    await raw.ended();
    assert.equal(await guest.isKnown(), false);
});

promise('the_owners_death_ends_the_upgrades_WebSocket_at_another_gateway', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const raw = await guest.at(OTHER).probed();
    await stack.gateways[OWNER].kill();
    raw.send('5');
    await within(raw.ended(), 'the end of the WebSocket', DEATH_MS);
    assert.equal(await guest.isKnown([OTHER, THIRD]), false);
    await stack.gateways[OWNER].start();
});

/* --- the takeover ------------------------------------------------------------------------------------------------------ */

const freeze = () => stack.stores[0].child.signal('SIGSTOP');
const thaw = () => stack.stores[0].child.signal('SIGCONT');

for (const isFrozen of [false, true])
    for (const by of ALL)
        promise(
            `what_is_posted_at_${by}_before_5_is_acknowledged_behind_the_takeover_and_stays_in_front` +
                (isFrozen ? '_though_the_store_is_frozen_meanwhile' : ''),
            { of: stack },
            async (t) => {
                const guest = await Guest.arrive(t);
                const bert = await someoneIn(t, stack.urls[THIRD], { room: guest.room });
                const [before, behind] = [range(1, 20).map((n) => `before ${n}`), range(1, 20).map((n) => `behind ${n}`)];
                const raw = await guest.at(OTHER).probed();
                if (isFrozen) freeze();
                // One alone first, so that more than one append is needed.
                await guest.say(by, before[0]);
                await guest.say(by, ...before.slice(1));
                raw.write(Buffer.concat([frame({ payload: '5' }), ...behind.slice(0, 10).map((text) => frame({ payload: guest.saying(text) }))]));
                if (isFrozen) {
                    await movedAway(guest);
                    for (const text of behind.slice(10)) raw.send(guest.saying(text));
                    thaw();
                } else {
                    for (const text of behind.slice(10)) raw.send(guest.saying(text));
                }
                const all = [...before, ...behind];
                sawItsOwn(await hears(raw, 2 * all.length), all);
                await bert.say('the end');
                assert.deepEqual(bert.contents, [...all, 'the end']);
                assert.deepEqual(await hears(raw, 1), ['message the end 41'], 'and nothing else');
            },
        );

promise('a_thousand_sends_without_an_outcome_follow_the_session', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const bert = await someoneIn(t, stack.urls[THIRD], { room: guest.room });
    const texts = range(1, 1000).map((n) => `${n} ${'x'.repeat(200)}`);
    const raw = await guest.at(OTHER).probed();
    freeze();
    await guest.say(OWNER, ...texts.slice(0, 500));
    await guest.say(THIRD, ...texts.slice(500));
    raw.send('5');
    await movedAway(guest);
    raw.send(guest.saying('behind them'));
    thaw();
    const all = [...texts, 'behind them'];
    sawItsOwn(await hears(raw, 2 * all.length), all);
    await bert.hasSeen(1001);
    assert.deepEqual(bert.contents, all);
});

promise('refusals_and_acknowledgements_that_wait_when_5_comes_follow_the_session', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const raw = await guest.at(OTHER).probed();
    await guest.say(OWNER, 'fine', '', 'x'.repeat(17_000), 'fine too');
    const bert = await someoneIn(t, stack.urls[THIRD], { room: guest.room, auth: { serverOffset: 0 } });
    await bert.hasSeen(2);
    raw.send('5');
    const heard = await hears(raw, 6);
    assert.deepEqual([...heard].sort(), ['ack 1 1', 'ack 2 invalid_message', 'ack 3 too_large', 'ack 4 2', 'message fine 1', 'message fine too 2']);
});

for (const isFrozen of [false, true])
    promise(`chat_history_asked_for_before_5_is_answered_behind_it${isFrozen ? '_when_the_store_can_again' : ''}`, { of: stack }, async (t) => {
        const room = freshRoom();
        const bert = await someoneIn(t, stack.urls[THIRD], { room });
        for (const n of range(1, 300)) bert.socket.emit('chat message', `${n}`);
        await bert.hasSeen(300);
        const guest = await Guest.arrive(t, { room, auth: { serverOffset: 300 } });
        const raw = await guest.at(OTHER).probed();
        if (isFrozen) freeze();
        await guest.at(THIRD).post(`42/${room},77["chat history",{"before":101,"limit":100}]`);
        raw.send('5');
        await movedAway(guest);
        if (isFrozen) thaw();
        const answer = await raw.textLike((text) => text.startsWith(`43/${room},77[`));
        const [{ status, messages, more }] = JSON.parse(answer.slice(answer.indexOf('[')));
        assert.equal(status, 'ok');
        assert.equal(more, false);
        assert.deepEqual(messages.map(({ content }) => content), range(1, 100).map(String));
        await bert.say('301');
        assert.deepEqual(await hears(raw, 1), ['message 301 301']);
    });

promise('as_much_as_may_wait_for_a_client_follows_the_session', { of: stack }, async (t) => {
    const room = freshRoom();
    const bert = await someoneIn(t, stack.urls[THIRD], { room });
    for (const n of range(1, 20)) assert.equal((await bert.say(`${n} ${'"'.repeat(8000)}`)).id, String(n));
    const guest = await Guest.arrive(t, { room, auth: { serverOffset: 20 } });
    const raw = await guest.at(OTHER).probed();
    for (const ack of range(1, 2)) await guest.at(OWNER).post(`42/${room},${ack}["chat history",{"after":0,"limit":20}]`);
    raw.send('5');
    const sizes = [];
    for (const ack of range(1, 2)) {
        const answer = await raw.text();
        assert.ok(answer.startsWith(`43/${room},${ack}[{"status":"ok"`), answer.slice(0, 100));
        sizes.push(answer.length);
    }
    assert.ok(sizes[0] > 100_000, `${sizes}`);
    assert.deepEqual(sizes, sizes.map(() => sizes[0]));
});

promise('all_rooms_of_a_connection_go_on_behind_the_takeover', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const rooms = [guest.room, ...range(2, 100).map((n) => freshRoom(`room-with-a-long-name-${n}`))];
    const payload = rooms.slice(1).map((room, i) => `40/${room},${JSON.stringify({ username: `guest ${i + 1}` })}`);
    await guest.at(OTHER).post(payload.join(SEPARATOR));
    const replies = [];
    while (replies.length < 99) replies.push(await guest.packet(THIRD));
    for (const reply of replies) assert.match(reply, /^40\/room-/);
    const raw = await guest.at(OTHER).upgraded();
    for (const room of rooms) raw.send(guest.saying(`in ${room}`, { room }));
    const heard = new Set(await hears(raw, 200));
    for (const [i, room] of rooms.entries()) assert.ok(heard.has(`message in ${room} 1`) && heard.has(`ack ${i + 1} 1`), room);
    // As whom it had joined each, and to be left one by one.
    const bert = await someoneIn(t, stack.urls[THIRD], { room: rooms[42], auth: { serverOffset: 0 } });
    await bert.hasSeen(1);
    assert.equal(bert.messages[0].username, 'guest 42');
    raw.send(`41/${rooms[42]},`);
    raw.send(guest.saying('after leaving another', { room: rooms[43] }));
    await hears(raw, 2);
    await bert.say('not for who left');
    raw.send(guest.saying('the end', { room: rooms[43] }));
    assert.match((await hears(raw, 2)).join(), /^message the end 3,/);
});

promise('joins_that_wait_for_the_store_when_5_comes_are_answered_behind_it', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const other = freshRoom();
    const raw = await guest.at(OTHER).probed();
    freeze();
    await guest.at(THIRD).post(`40/${other},{"serverOffset":0}`);
    raw.send('5');
    await movedAway(guest);
    thaw();
    assert.match(await raw.text(), new RegExp(`^40/${other},\\{"sid":`));
    raw.send(guest.saying('joined', { room: other }));
    assert.deepEqual(await hears(raw, 2), ['message joined 1', 'ack 1 1']);
});

promise('who_asked_for_no_echo_gets_none_behind_the_takeover', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, { auth: { echo: false } });
    const bert = await someoneIn(t, stack.urls[THIRD], { room: guest.room });
    await guest.say(OTHER, 'mine, polling');
    assert.deepEqual(await guest.hears(1), ['ack 1 1']);
    const raw = await guest.at(OTHER).probed();
    await guest.say(THIRD, 'mine, before 5');
    raw.send('5');
    raw.send(guest.saying('mine, behind 5'));
    assert.deepEqual(await hears(raw, 2), ['ack 2 2', 'ack 3 3']);
    await bert.hasSeen(3);
    await bert.say('yours');
    assert.deepEqual(await hears(raw, 1), ['message yours 4']);
});

promise('the_pid_given_before_the_takeover_resumes_the_session_afterwards', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const bert = await someoneIn(t, stack.urls[THIRD], { room: guest.room });
    // A join whose reply is at hand.
    const room = freshRoom();
    const reply = await guest.join(room);
    const session = JSON.parse(reply.slice(reply.indexOf('{')));
    const raw = await guest.at(OTHER).upgraded();
    raw.send(guest.saying('one', { room }));
    await hears(raw, 2);
    raw.socket.destroy();
    const again = await RawWebSocket.open(t, stack.gateways[THIRD].url);
    again.send(`40/${room},${JSON.stringify({ pid: session.pid })}`);
    assert.deepEqual(JSON.parse((await again.text()).slice(`40/${room},`.length)), session);
    assert.deepEqual(await hears(again, 1), ['message one 1']);
    assert.equal(bert.leaves.length, 0);
});

promise('the_session_goes_on_when_its_first_owner_is_killed_behind_the_takeover', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const raw = await guest.at(OTHER).upgraded();
    raw.send(guest.saying('moved'));
    assert.deepEqual(await hears(raw, 2), ['message moved 1', 'ack 1 1']);
    await stack.gateways[OWNER].kill();
    for (const n of range(2, 5)) {
        raw.send(guest.saying(`still ${n}`));
        assert.deepEqual(await hears(raw, 2), [`message still ${n} ${n}`, `ack ${n} ${n}`]);
    }
    await stack.gateways[OWNER].start();
    raw.send(guest.saying('and on'));
    assert.match((await hears(raw, 2)).join(), /^message and on 6,/);
});

promise('the_session_goes_on_when_its_first_owner_is_asked_to_end_behind_the_takeover', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const raw = await guest.at(OTHER).probed();
    await guest.say(OWNER, ...range(1, 50).map((n) => `${n}`));
    raw.send('5');
    await movedAway(guest, [OWNER]);
    assert.deepEqual(await stack.gateways[OWNER].stop(), { code: 0, signal: null });
    raw.send(guest.saying('51'));
    sawItsOwn(await hears(raw, 102), range(1, 51).map(String));
    await stack.gateways[OWNER].start();
});

promise('the_session_is_closed_when_its_first_owner_dies_with_its_sends_in_flight', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const bert = await someoneIn(t, stack.urls[THIRD], { room: guest.room });
    const raw = await guest.at(OTHER).probed();
    freeze();
    await guest.say(OWNER, 'in flight');
    raw.send('5');
    await movedAway(guest);
    raw.send(guest.saying('behind it'));
    await stack.gateways[OWNER].kill();
    await within(raw.ended(), 'the end of the WebSocket', DEATH_MS);
    thaw();
    await bert.say('afterwards');
    // What was in flight is there or not; what was said behind it must not be there without it.
    assert.ok(['in flight,behind it,afterwards', 'in flight,afterwards', 'afterwards'].includes(bert.contents.join()), `${bert.contents}`);
    await stack.gateways[OWNER].start();
});

promise('a_client_whose_first_owner_dies_with_its_sends_in_flight_recovers_and_repeats_them', { of: stack }, async (t) => {
    const room = freshRoom();
    let letUpgrade;
    const mayUpgrade = new Promise((resolve) => (letUpgrade = resolve));
    const balancer = await Balancer.open(
        () => stack.gateways.map(({ url }) => url),
        ({ what, sid }) => (what === 'websocket' ? mayUpgrade.then(() => OTHER) : sid ? THIRD : letUpgrade.isOver ? OTHER : OWNER),
    );
    const anna = await someoneIn(t, balancer.url, { room, options: { transports: undefined } });
    const bert = await someoneIn(t, stack.urls[THIRD], { room });
    assert.equal((await anna.say('before')).id, '1');
    freeze();
    const ids = range(1, 5).map(() => randomUUID());
    const acks = new Map();
    const send = (n) =>
        anna.socket.timeout(3000).emit('chat message', `${n}`, ids[n - 1], (error, ack) => {
            if (error) return send(n);
            acks.set(n, ack.id);
            anna.changed();
            return undefined;
        });
    for (const n of range(1, 5)) send(n);
    // The POST has been taken when the next, of another session of the same way, is.
    await eventually(() => balancer.served.filter(({ what }) => what === 'POST').length >= 2, 'the POST');
    letUpgrade.isOver = true;
    letUpgrade();
    await eventually(() => anna.socket.io.engine.transport.name === 'websocket', 'the upgrade');
    await stack.gateways[OWNER].kill();
    await anna.left();
    thaw();
    assert.equal((await anna.joined(2)).recovered, true);
    await anna.until(() => acks.size === 5, () => `all to be acknowledged: ${[...acks]}`);
    await bert.say('the end');
    for (const person of [anna, bert]) {
        await person.hasSeen(7);
        person.sawExactly(1, 7);
        assert.deepEqual(new Set(person.contents), new Set(['before', '1', '2', '3', '4', '5', 'the end']));
    }
    await stack.gateways[OWNER].start();
});

promise('sends_end_in_unavailable_at_their_deadline_behind_the_takeover_too', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t);
    const raw = await guest.at(OTHER).probed();
    freeze();
    const clientId = randomUUID();
    await guest.at(OWNER).post(guest.saying('too late', { clientId }));
    raw.send('5');
    const text = await raw.text();
    thaw();
    assert.ok(text.startsWith(`42/${guest.room},["chat error",{"code":"unavailable"`), text);
    assert.ok(text.includes(`"clientId":"${clientId}"`), text);
    raw.send(guest.saying('too late', { clientId }));
    const heard = await hears(raw, 2);
    assert.deepEqual(heard, ['message too late 1', 'ack 2 1']);
});

/* --- the heartbeat ---------------------------------------------------------------------------------------------------- */

promise('a_session_that_polls_elsewhere_lives_through_heartbeats', { of: beating }, async (t) => {
    const guest = await Guest.arrive(t, { of: beating });
    const polling = [guest.at(OTHER), guest.at(THIRD)];
    let beats = 0;
    for (let n = 0; beats < 5; n++) {
        const { status, text } = await polling[n % 2].get();
        assert.equal(status, 200, text);
        assert.equal(text, '2');
        beats++;
        assert.equal((await polling[(n + 1) % 2].post('3')).text, 'ok');
    }
});

promise('the_heartbeat_goes_on_across_the_takeover', { of: beating }, async (t) => {
    const guest = await Guest.arrive(t, { of: beating });
    const raw = await guest.at(OTHER).upgraded();
    let last = performance.now();
    for (let beat = 1; beat <= 5; beat++) {
        assert.equal((await raw.frame()).payload.toString(), '2');
        const after = performance.now() - last;
        if (beat > 1) assert.ok(after > 290 && after < 300 + 150 * PATIENCE, `ping ${beat} after ${after} ms`);
        last = performance.now();
        raw.send('3');
    }
    raw.send(guest.saying('alive'));
    await raw.textLike((text) => text.includes('"alive"'));
});

promise('who_does_not_answer_a_ping_is_let_go_wherever_it_polls_or_was_taken_over', { of: beating }, async (t) => {
    const silent = await Guest.arrive(t, { of: beating });
    assert.equal((await silent.at(OTHER).get()).text, '2');
    const raw = await (await Guest.arrive(t, { of: beating })).at(OTHER).upgraded();
    await within(raw.ended(), 'the end of the WebSocket', 1500 * PATIENCE);
    await eventually(async () => (await silent.at(THIRD).get()).status === 400, 'the session to be over', 1500 * PATIENCE);
});

promise('clients_live_through_heartbeats_behind_a_balancer', { of: beating }, async (t) => {
    const balancer = await Balancer.open(() => beating.gateways.map(({ url }) => url));
    const room = freshRoom();
    const people = Object.values(WAYS).map(([options]) => someone(t, balancer.url, { room, options: { transports: undefined, ...options } }));
    const news = new Changes();
    for (const person of people) {
        person.beats = 0;
        person.socket.io.on('ping', () => {
            person.beats++;
            news.changed();
        });
    }
    await news.until(() => people.every(({ beats }) => beats >= 6), () => `six heartbeats each: ${people.map(({ beats }) => beats)}`);
    await Promise.all(people.map((person) => person.say('alive')));
    for (const person of people) {
        await person.hasCounted(people.length);
        person.sawExactly(1, people.length);
        assert.equal(person.joins.length, 1, `${person.leaves}`);
    }
});

/* --- afterwards ------------------------------------------------------------------------------------------------------- */

promise('behind_all_of_this_no_session_is_left_at_any_gateway', { of: stack, timeoutMs: 120_000 }, async () => {
    for (const of of [beating, stack])
        for (const gateway of of.gateways)
            for (const name of ['parley_clients', 'parley_members']) {
                let value;
                await eventually(
                    async () => {
                        value = Number((await gateway.metrics()).match(new RegExp(`^${name} (\\d+)$`, 'm'))[1]);
                        return value === 0;
                    },
                    () => `${name} of ${gateway.name} to be 0, it is ${value}`,
                    60_000 * PATIENCE,
                );
            }
});
