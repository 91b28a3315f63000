/**
 * No sticky sessions, at the wire: a session's polling requests are served wherever they come, as its owner would.
 */
import assert from 'node:assert/strict';
import { gunzipSync } from 'node:zlib';
import { ALL, AT_ONCE_MS, DEATH_MS, FREEZE_MS, Guest, OTHER, OWNER, THIRD, hears, isUnknown, nobodyIsLeft, sawItsOwn, told } from './harness/guest.mjs';
import { range, someoneIn } from './harness/person.mjs';
import { Polling, SEPARATOR, request } from './harness/polling.mjs';
import { promise } from './harness/promise.mjs';
import { RawWebSocket } from './harness/raw_websocket.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { eventually, within } from './harness/wait.mjs';

const stack = ownStack({ gateways: 3 });

/* --- relayed requests ---------------------------------------------------------------------------------------------- */

for (const [get, post] of [[OTHER, OTHER], [OTHER, OWNER], [OWNER, OTHER], [OTHER, THIRD]])
    promise(`GET_at_${get}_and_POST_at_${post}_serve_a_session_of_gateway_0`, { of: stack }, async (t) => {
        const guest = await Guest.arrive(t, stack);
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
    const guest = await Guest.arrive(t, stack);
    const other = freshRoom();
    assert.match(await guest.join(other, undefined, OTHER), new RegExp(`^40/${other},\\{"sid":`));
    assert.equal(await guest.join('lobby', undefined, THIRD), '44/lobby,{"message":"Invalid namespace"}');
    await guest.at(OTHER).post(`41/${other},`);
    assert.match(await guest.join(other, undefined, THIRD), new RegExp(`^40/${other},\\{"sid":`));
});

promise('many_packets_in_turn_at_all_gateways_keep_their_order_and_come_once', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    const texts = range(1, 90).map((n) => `m${n}`);
    const heard = [];
    for (const [i, text] of texts.entries()) {
        await guest.say(i % 3, text);
        // Often enough: an acknowledgement waits for its own copy to be fetched, but not longer than a second.
        if (i % 10 === 9) heard.push(...(await guest.hears(20)));
    }
    sawItsOwn(heard, texts);
});

promise('an_answer_has_the_same_headers_wherever_it_is_asked_for', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
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
    const guest = await Guest.arrive(t, stack, { auth: { serverOffset: 0 } });
    const texts = range(1, 61).map((n) => `${n} ${'x'.repeat(16_000)}`);
    const body = texts.map((text) => guest.saying(text)).join(SEPARATOR);
    assert.ok(body.length > 900_000 && body.length < 1_000_000, `${body.length}`);
    assert.equal((await guest.at(OTHER).post(body)).text, 'ok');
    sawItsOwn(await guest.hears(122, [OTHER, THIRD]), texts);
    // All of it again, for one who was not there.
    const late = await Guest.arrive(t, stack, { room: guest.room, auth: { serverOffset: 0 } });
    const heard = await late.hears(61, [OTHER]);
    assert.deepEqual(heard, texts.map((text, i) => `message ${text} ${i + 1}`));
});

promise('a_packet_of_the_maximum_is_relayed_whole', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    const head = `42/${guest.room},1["chat message","`;
    for (const index of [OWNER, OTHER]) {
        const body = `${head}${'x'.repeat(1_000_000 - head.length - 2)}"]`;
        assert.equal(body.length, 1_000_000);
        assert.equal((await guest.at(index).post(body)).text, 'ok');
        assert.deepEqual(await guest.hears(1, [index]), ['ack 1 too_large']);
    }
});

promise('a_body_over_the_maximum_is_413_everywhere', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    for (const index of ALL)
        for (const length of [1_000_001, 1_900_000])
            assert.equal((await guest.at(index).post('4'.repeat(length))).status, 413, `${length} bytes at ${index}`);
    await guest.say(OTHER, 'still here');
    assert.deepEqual(await guest.hears(2), ['message still here 1', 'ack 1 1']);
});

promise('binary_packets_are_taken_at_any_gateway_also_in_parts', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
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
            const guest = await Guest.arrive(t, stack);
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
        const guest = await Guest.arrive(t, stack);
        const answer = await guest.at(index).post(Buffer.from([4, 1]), { 'Content-Type': 'application/octet-stream' });
        assert.equal(answer.status, 400);
        assert.equal(await guest.isKnown(), false);
    }
});

for (const [first, second] of [[OWNER, OTHER], [OTHER, OWNER], [OTHER, THIRD], [OTHER, OTHER]])
    promise(`a_second_GET_at_${second}_while_one_waits_at_${first}_ends_the_session`, { of: stack }, async (t) => {
        const guest = await Guest.arrive(t, stack);
        const { answer } = await guest.waiting(first);
        assert.equal((await guest.at(second).get()).status, 400);
        assert.deepEqual([(await answer).status, (await answer).text], [200, '1']);
        assert.equal(await guest.isKnown(), false);
    });

promise('a_client_that_sends_1_is_gone_and_its_waiting_GET_gets_6_wherever_both_are', { of: stack }, async (t) => {
    for (const [get, post] of [[OTHER, OTHER], [OTHER, THIRD], [OWNER, OTHER], [OTHER, OWNER]]) {
        const guest = await Guest.arrive(t, stack);
        const { answer } = await guest.waiting(get);
        assert.equal((await guest.at(post).post('1')).text, 'ok');
        assert.equal((await answer).text, '6');
        assert.equal(await guest.isKnown(), false);
    }
});

promise('an_aborted_GET_at_another_gateway_ends_the_session_at_once', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    const { answer } = await guest.waiting(OTHER);
    answer.abort();
    await eventually(async () => !(await guest.at(OWNER).isKnown()), 'the session to be over', AT_ONCE_MS);
    assert.equal(await guest.isKnown(), false);
});

promise('two_hundred_sessions_of_one_gateway_wait_at_another_and_all_are_served', { of: stack }, async (t) => {
    const room = freshRoom();
    const guests = await Promise.all(range(1, 200).map(() => Guest.arrive(t, stack, { room })));
    const anna = await someoneIn(t, stack.urls[THIRD], { room });
    for (const n of range(1, 5)) {
        const waiting = guests.map((guest) => guest.at(OTHER).get());
        await anna.say(`${n}`);
        for (const answer of await Promise.all(waiting)) assert.equal(told(answer.text), `message ${n} ${n}`);
    }
    const closing = guests.map((guest) => guest.at(THIRD).post('1'));
    for (const answer of await Promise.all(closing)) assert.equal(answer.text, 'ok');
});

/* --- sessions that nobody knows ------------------------------------------------------------------------------------ */

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
    const guest = await Guest.arrive(t, stack);
    await stack.gateways[OWNER].kill();
    await isUnknownEverywhere(t, guest.polling.handshake.sid, [OTHER, THIRD]);
    await stack.gateways[OWNER].start();
    await isUnknownEverywhere(t, guest.polling.handshake.sid);
});

/* --- the owner or the relaying gateway goes away ------------------------------------------------------------------- */

/** How a request ended that was not answered as the client wished: its status, or `cut`. */
const endOf = (answer) => answer.then(({ status }) => status, () => 'cut');

promise('a_GET_that_waits_elsewhere_ends_when_the_owner_is_killed', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    const { answer } = await guest.waiting(OTHER);
    await stack.gateways[OWNER].kill();
    const end = await within(endOf(answer), 'the end of the GET', DEATH_MS);
    assert.ok([400, 502, 503, 'cut'].includes(end), `${end}`);
    assert.equal(await guest.isKnown([OTHER, THIRD]), false);
    await stack.gateways[OWNER].start();
});

promise('a_GET_that_waits_elsewhere_ends_when_the_owner_is_frozen_and_the_session_with_it', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    const { answer } = await guest.waiting(OTHER);
    stack.gateways[OWNER].child.signal('SIGSTOP');
    const end = await within(endOf(answer), 'the end of the GET', FREEZE_MS);
    assert.ok([400, 502, 503, 504, 'cut'].includes(end), `${end}`);
    stack.gateways[OWNER].child.signal('SIGCONT');
    await eventually(async () => !(await guest.at(OWNER).isKnown()), 'the session to be over');
});

promise('a_POST_to_a_frozen_owner_ends_and_is_not_done_later_as_well_as_again', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
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
    const guest = await Guest.arrive(t, stack);
    const { answer } = await guest.waiting(OTHER);
    assert.deepEqual(await stack.gateways[OWNER].stop(), { code: 0, signal: null });
    await within(endOf(answer), 'the end of the GET', DEATH_MS);
    assert.equal(await guest.isKnown([OTHER, THIRD]), false);
    await stack.gateways[OWNER].start();
});

promise('a_relaying_gateway_that_is_asked_to_end_gives_its_waiting_GETs_a_noop_and_the_sessions_live', { of: stack }, async (t) => {
    const guests = await Promise.all(range(1, 10).map(() => Guest.arrive(t, stack)));
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
    const guest = await Guest.arrive(t, stack);
    const { answer } = await guest.waiting(OTHER);
    await stack.gateways[OTHER].kill();
    assert.equal(await endOf(answer), 'cut');
    // As an aborted GET, or as one that is still awaited when the next comes.
    const next = await guest.at(THIRD).get();
    assert.equal(next.status, 400);
    await eventually(async () => !(await guest.isKnown([OWNER, THIRD])), 'the session to be over');
    await stack.gateways[OTHER].start();
});

promise('behind_all_of_this_no_session_is_left', { of: stack, timeoutMs: 120_000 }, () => nobodyIsLeft(stack));
