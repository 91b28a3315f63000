/**
 * The upgrade from polling to WebSocket, rule by rule, at the wire; and under load, with the real client.
 */
import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { ownEcho } from './harness/echo.mjs';
import { Polling, SEPARATOR } from './harness/polling.mjs';
import { promise } from './harness/promise.mjs';
import { OP, frame } from './harness/raw_websocket.mjs';
import { Changes, eventually } from './harness/wait.mjs';

const UPGRADE_TIMEOUT_MS = 400;
const echo = ownEcho('eio-echo');
const hasty = ownEcho('eio-echo', { 'upgrade-timeout': UPGRADE_TIMEOUT_MS });
const beating = ownEcho('eio-echo', { 'ping-interval': 300, 'ping-timeout': 200 });
const events = ownEcho('sio-echo');

promise('a_probe_is_answered_and_5_moves_the_session', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const raw = await polling.upgraded();
    raw.send('4hello');
    assert.equal(await raw.text(), '4hello');
    raw.write(frame({ opcode: OP.binary, payload: Buffer.from([1, 2]) }));
    assert.deepEqual((await raw.frame()).payload, Buffer.from([1, 2]));
});

promise('a_waiting_GET_gets_a_noop_when_the_probe_comes', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const waiting = polling.get();
    const raw = await polling.probed();
    assert.equal((await waiting).text, '6');
    raw.send('5');
    raw.send('4x');
    assert.equal(await raw.text(), '4x');
});

promise('every_GET_from_the_probe_on_gets_a_noop_until_5', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const raw = await polling.probed();
    for (let i = 0; i < 5; i++) assert.equal((await polling.get()).text, '6');
    raw.send('5');
    raw.send('4x');
    assert.equal(await raw.text(), '4x');
    assert.ok(!raw.frames.some(({ payload }) => payload.toString() === '6'), 'no noop on the WebSocket');
});

promise('polling_goes_on_until_the_probe', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    await polling.websocket();
    await polling.post('4meanwhile');
    assert.equal(await polling.packet(), '4meanwhile');
});

promise('what_is_posted_during_the_upgrade_comes_back_on_the_WebSocket_in_order_and_once', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const raw = await polling.probed();
    await polling.post(['4a', '4b', 'bAQI='].join(SEPARATOR));
    assert.equal((await polling.get()).text, '6');
    await polling.post('4c');
    raw.write(Buffer.concat([frame({ payload: '5' }), frame({ payload: '4d' })]));
    assert.deepEqual([await raw.text(), await raw.text()], ['4a', '4b']);
    assert.deepEqual((await raw.frame()).payload, Buffer.from([1, 2]));
    assert.deepEqual([await raw.text(), await raw.text()], ['4c', '4d']);
});

promise('polling_after_the_upgrade_is_refused_with_code_3', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const raw = await polling.upgraded();
    raw.send('4x');
    await raw.text();
    for (const answer of [await polling.get(), await polling.post('4y')]) {
        assert.equal(answer.status, 400);
        assert.equal(answer.text, '{"code":3,"message":"Bad request"}');
    }
    raw.send('4z');
    assert.equal(await raw.text(), '4z');
});

promise('a_second_WebSocket_during_the_upgrade_gets_101_and_is_closed_and_the_first_goes_on', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const first = await polling.probed();
    const second = await polling.websocket();
    assert.match(second.answer, /^HTTP\/1\.1 101 /);
    await second.ended();
    first.send('5');
    first.send('4x');
    assert.equal(await first.text(), '4x');
});

promise('a_second_WebSocket_after_the_upgrade_gets_101_and_is_closed_and_the_first_goes_on', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const first = await polling.upgraded();
    first.send('4x');
    await first.text();
    const second = await polling.websocket();
    assert.match(second.answer, /^HTTP\/1\.1 101 /);
    await second.ended();
    first.send('4y');
    assert.equal(await first.text(), '4y');
});

for (const [what, packet] of [
    ['5_without_a_probe', '5'],
    ['a_message', '4hello'],
    ['another_probe', '2another'],
    ['nothing_that_is_a_packet', 'x'],
]) {
    promise(`${what}_instead_of_the_probe_closes_the_WebSocket_and_the_session_goes_on`, { of: echo }, async (t) => {
        const polling = await Polling.open(t, echo);
        const raw = await polling.websocket();
        raw.send(packet);
        await raw.ended();
        await polling.post('4still polling');
        assert.equal(await polling.packet(), '4still polling');
        const again = await polling.upgraded();
        again.send('4x');
        assert.equal(await again.text(), '4x');
    });
}

for (const stage of ['websocket', 'probed']) {
    promise(`an_upgrade_that_stops_at_${stage}_ends_its_WebSocket_alone`, { of: hasty }, async (t) => {
        const polling = await Polling.open(t, hasty);
        const since = performance.now();
        const raw = await polling[stage]();
        await raw.ended();
        const lasted = performance.now() - since;
        assert.ok(lasted >= UPGRADE_TIMEOUT_MS - 2, `ended after ${lasted} ms`);
        await polling.post('4still polling');
        assert.equal(await polling.packet(), '4still polling');
        const again = await polling.upgraded();
        again.send('4x');
        assert.equal(await again.text(), '4x');
    });

    promise(`a_WebSocket_that_dies_when_${stage}_leaves_the_session_polling`, { of: echo }, async (t) => {
        const polling = await Polling.open(t, echo);
        (await polling[stage]()).socket.resetAndDestroy();
        const meanwhile = polling.get();
        await eventually(async () => {
            await polling.post('4still polling');
            return true;
        }, 'a POST');
        const first = (await meanwhile).text;
        if (first.startsWith('6')) assert.equal(await polling.packet(), '4still polling');
        else assert.equal(first, '4still polling');
    });
}

promise('the_end_of_the_session_ends_the_upgrades_WebSocket', { of: echo }, async (t) => {
    const polling = await Polling.open(t, echo);
    const raw = await polling.probed();
    await polling.post('1');
    await raw.ended();
    assert.equal(await polling.isKnown(), false);
});

promise('the_heartbeat_goes_on_across_the_upgrade', { of: beating }, async (t) => {
    const polling = await Polling.open(t, beating);
    const opened = performance.now();
    const raw = await polling.upgraded();
    for (let beat = 1; beat <= 3; beat++) {
        const ping = await raw.frame();
        assert.equal(ping.payload.toString(), '2');
        if (beat === 1) {
            const after = performance.now() - opened;
            assert.ok(after > 250 && after < 300 + 150, `the first ping came after ${after} ms, counted from the handshake`);
        }
        raw.send('3');
    }
});

promise('a_ping_that_is_due_during_the_upgrade_comes_by_polling', { of: beating }, async (t) => {
    const polling = await Polling.open(t, beating);
    const raw = await polling.probed();
    const seen = new Set();
    await eventually(async () => {
        for (const packet of (await polling.get()).text.split(SEPARATOR)) seen.add(packet);
        return seen.has('2');
    }, 'a ping');
    assert.deepEqual([...seen].sort(), ['2', '6']);
    await polling.post('3');
    raw.send('5');
    raw.send('4x');
    assert.equal(await raw.text(), '4x');
});

promise('who_does_not_answer_a_ping_is_let_go_though_it_has_upgraded', { of: beating }, async (t) => {
    const polling = await Polling.open(t, beating);
    const opened = performance.now();
    const raw = await polling.upgraded();
    await raw.ended();
    const lasted = performance.now() - opened;
    assert.ok(lasted > 450 && lasted < 500 + 200, `300 and 200 ms; ended after ${lasted}`);
});

promise('heartbeats_are_accurate_to_a_few_ms', { of: beating }, async (t) => {
    const polling = await Polling.open(t, beating);
    const raw = await polling.upgraded();
    let last = null;
    const late = [];
    for (let beat = 0; beat < 6; beat++) {
        await raw.frame();
        const now = performance.now();
        if (last !== null) late.push(now - last - 300);
        last = now;
        raw.send('3');
    }
    late.sort((a, b) => a - b);
    const median = late[Math.floor(late.length / 2)];
    assert.ok(median > -3 && median < 10, `late by ${late} ms`);
});

/* --- under load, with the real client --------------------------------------------------------------------------------- */

/** Talks without pause from the first moment on, in both directions; how far its upgrade is when each comes back. */
class Talker extends Changes {
    back = [];
    upgradedAt = null;

    constructor(t, url) {
        super();
        this.socket = io(url, { forceNew: true, reconnection: false });
        t.after(() => this.socket.disconnect());
        this.socket.on('message-back', (n, bytes) => {
            assert.equal(bytes.length, 3);
            this.back.push(n);
            this.changed();
        });
        this.socket.io.engine.on('upgrade', () => (this.upgradedAt = this.back.length));
        this.socket.on('disconnect', (reason) => (this.reason = reason));
    }

    async talk(count) {
        for (let n = 0; n < count; n++) {
            this.socket.emit('message', n, Buffer.from([1, 2, n & 255]));
            if (n % 7 === 0) await new Promise(setImmediate);
        }
        await this.until(() => this.back.length >= count, () => `${count} messages, got ${this.back.length}, ${this.reason}`);
        assert.deepEqual(this.back, Array.from({ length: count }, (_, n) => n));
    }
}

promise('nothing_is_lost_doubled_or_reordered_while_many_upgrade_under_load', { of: events }, async (t) => {
    const upgradedMidway = [];
    for (let round = 0; round < 5; round++) {
        const talkers = Array.from({ length: 8 }, () => new Talker(t, events.url));
        await Promise.all(talkers.map((talker) => talker.talk(400)));
        for (const talker of talkers) {
            assert.equal(talker.socket.io.engine.transport.name, 'websocket');
            if (talker.upgradedAt < 400) upgradedMidway.push(talker);
            talker.socket.disconnect();
        }
    }
    assert.ok(upgradedMidway.length > 10, `${upgradedMidway.length} of 40 upgraded while they talked`);
});
