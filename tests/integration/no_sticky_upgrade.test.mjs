/**
 * No sticky sessions, at the wire: the upgrade at another gateway than the session's owner, until `5`.
 */
import assert from 'node:assert/strict';
import { ALL, AT_ONCE_MS, DEATH_MS, SILENCE_MS, Guest, OTHER, OWNER, THIRD, hears, isMoved, nobodyIsLeft, sawItsOwn, told } from './harness/guest.mjs';
import { range, someoneIn } from './harness/person.mjs';
import { SEPARATOR } from './harness/polling.mjs';
import { promise } from './harness/promise.mjs';
import { ownStack } from './harness/stack.mjs';
import { PATIENCE, eventually, within } from './harness/wait.mjs';

const stack = ownStack({ gateways: 3 });

for (const waitsAt of ALL)
    promise(`a_probe_at_another_gateway_gives_a_noop_to_a_GET_that_waits_at_${waitsAt}_and_to_every_later_one`, { of: stack }, async (t) => {
        const guest = await Guest.arrive(t, stack);
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
    const guest = await Guest.arrive(t, stack);
    const raw = await guest.at(OTHER).websocket();
    for (const index of ALL) await guest.say(index, `at ${index}`);
    sawItsOwn(await guest.hears(6), ALL.map((index) => `at ${index}`));
    raw.send('2probe');
    assert.equal(await raw.text(), '3probe');
});

for (const index of [OWNER, OTHER])
    promise(`polling_is_refused_with_code_3_at_every_gateway_behind_an_upgrade_at_${index}`, { of: stack }, async (t) => {
        const guest = await Guest.arrive(t, stack);
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
        const guest = await Guest.arrive(t, stack);
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
            const guest = await Guest.arrive(t, stack);
            const raw = await guest.at(first).probed();
            const late = await guest.at(second).websocket();
            assert.match(late.answer, /^HTTP\/1\.1 101 /);
            await late.ended();
            raw.send('5');
            raw.send(guest.saying('on the first'));
            assert.deepEqual(await hears(raw, 2), ['message on the first 1', 'ack 1 1']);
        });

        promise(`a_second_WebSocket_at_${second}_behind_the_upgrade_at_${first}_gets_101_and_is_closed`, { of: stack }, async (t) => {
            const guest = await Guest.arrive(t, stack);
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
        const guest = await Guest.arrive(t, stack);
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
        const guest = await Guest.arrive(t, stack);
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
        const guest = await Guest.arrive(t, stack);
        const raw = await guest.at(OTHER).websocket();
        raw.send(packet);
        await raw.ended();
        await guest.say(OTHER, 'still polling');
        assert.deepEqual(await guest.hears(2), ['message still polling 1', 'ack 1 1']);
    });

promise('a_gateway_that_dies_during_the_upgrade_there_leaves_the_session_polling', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
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
    const guest = await Guest.arrive(t, stack);
    const raw = await guest.at(OTHER).probed();
    await guest.at(THIRD).post('1');
    await raw.ended();
    assert.equal(await guest.isKnown(), false);
});

promise('the_owners_death_ends_the_upgrades_WebSocket_at_another_gateway', { of: stack }, async (t) => {
    const guest = await Guest.arrive(t, stack);
    const raw = await guest.at(OTHER).probed();
    await stack.gateways[OWNER].kill();
    raw.send('5');
    await within(raw.ended(), 'the end of the WebSocket', DEATH_MS);
    assert.equal(await guest.isKnown([OTHER, THIRD]), false);
    await stack.gateways[OWNER].start();
});

promise('behind_all_of_this_no_session_is_left', { of: stack, timeoutMs: 120_000 }, () => nobodyIsLeft(stack));
