/**
 * The checker itself: a good history passes, and each kind of lie is found.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check } from './checker.mjs';

const EPOCH = 7;

/** A history of anna in a room, event by event; each happens a second after the one before, where nothing else is said. */
class Story {
    #at = 0;

    constructor(header = {}) {
        this.events = [{ at: 0, kind: 'client', name: 'anna', room: 'r', way: 'default', echo: true, retries: false, ...header }];
    }

    add(kind, fields, afterMs = 1000) {
        this.#at += afterMs;
        this.events.push({ at: this.#at, kind, ...fields });
        return this;
    }

    connects(fields = {}, afterMs) {
        const told = { gateway: 'gateway-0', sid: 's1', recovered: false, resumes: false, fresh: false, ...fields };
        return this.add('connect', told, afterMs);
    }

    leaves(fields = {}, afterMs) {
        return this.add('disconnect', { gateway: 'gateway-0', reason: 'transport close', own: true, ...fields }, afterMs);
    }

    /** One message from the log below, told otherwise where fields say so. */
    gets(id, fields = {}) {
        const { sender: from, clientId, content } = ROWS.get(id) ?? {};
        return this.add('message', { id, epoch: EPOCH, from, clientId, content, ...fields });
    }

    sends(n) {
        return this.add('send', { clientId: `a${n}`, content: `anna ${n}` });
    }

    acked(n, id, fields = {}, afterMs) {
        return this.add('ack', { clientId: `a${n}`, status: 'ok', id, duplicate: false, ...fields }, afterMs);
    }

    refused(n) {
        return this.add('error', { clientId: `a${n}`, code: 'unavailable' });
    }

    gap(from, to) {
        return this.add('gap', { from, to, reason: 'limit' });
    }

    ends() {
        return this.add('end', { complete: true });
    }
}

function row(sender, n, session = `s-${sender}`) {
    return { sender, clientId: `${sender[0]}${n}`, session, content: `${sender} ${n}` };
}

/** What is stored: bert's 1 to 4, and anna's 5 and 6. */
const ROWS = new Map([
    [1, row('bert', 1)],
    [2, row('bert', 2)],
    [3, row('bert', 3)],
    [4, row('bert', 4)],
    [5, row('anna', 1, 's1')],
    [6, row('anna', 2, 's1')],
]);

function judge(stories, { rows = ROWS, faults = [], memory = [] } = {}) {
    const rooms = new Map([['r', { epochs: [{ epoch: EPOCH, firstId: 1 }], rows }]]);
    return check({ histories: [stories].flat().map(({ events }) => events), rooms, faults, memory });
}

/** Asserts that the judge finds this, and nothing else. */
function finds(verdict, promise, what) {
    assert.deepEqual(verdict.broken, [promise], JSON.stringify(verdict.violations));
    assert.match(verdict.violations[0].what, what);
}

function isGood(verdict) {
    assert.deepEqual(verdict.violations, []);
}

/** Comes, hears bert, is cut off, comes back, hears the rest, and is acknowledged. */
function goodStory() {
    return new Story()
        .connects()
        .gets(2)
        .leaves()
        .connects({ sid: 's1', recovered: true, resumes: true })
        .gets(3)
        .gets(4)
        .sends(1)
        .sends(2)
        .gets(5)
        .acked(1, 5)
        .gets(6)
        .acked(2, 6);
}

const fault = (fields) => ({ kind: 'x', begin: 0, end: 0, cuts: [], storeAway: false, ...fields });

test('a_good_history_passes_and_each_promise_was_looked_at', () => {
    const memory = [{ program: 'gateway-0', kib: 10, limitKib: 20 }];
    const verdict = judge(goodStory().ends(), { memory });
    isGood(verdict);
    for (const [promise, times] of Object.entries(verdict.checked)) assert.ok(times > 0, promise);
});

test('an_acknowledged_message_that_is_not_stored_breaks_P2', () => {
    finds(judge(goodStory().sends(3).acked(3, 7).ends()), 'P2', /acknowledged, and not stored/);
});

test('an_acknowledgement_with_the_id_of_another_message_breaks_P2', () => {
    finds(judge(goodStory().sends(3).acked(3, 4).ends()), 'P2', /holds something else/);
});

test('two_ids_for_one_message_break_P3', () => {
    const rows = new Map([...ROWS, [7, row('anna', 2, 's1')]]);
    const verdict = judge(goodStory().gets(7, { from: 'anna', clientId: 'a2', content: 'anna 2' }).acked(2, 7).ends(), { rows });
    finds(verdict, 'P3', /stored twice/);
    assert.ok(verdict.violations.some(({ what }) => /with two ids/.test(what)));
});

test('a_message_that_comes_twice_breaks_P3', () => {
    finds(judge(goodStory().gets(4).ends()), 'P3', /came twice/);
});

test('a_hole_breaks_P1', () => {
    finds(judge(new Story().connects().gets(1).gets(2).gets(4).gets(5).gets(6).ends()), 'P1', /never came/);
});

test('a_hole_that_a_gap_told_is_none', () => {
    isGood(judge(new Story().connects().gets(1).gap(2, 3).gets(4).gets(5).gets(6).ends()));
});

test('a_gap_that_does_not_tell_all_that_is_missing_breaks_P1', () => {
    finds(judge(new Story().connects().gets(1).gap(3, 3).gets(4).gets(5).gets(6).ends()), 'P1', /never came/);
});

test('an_end_before_the_head_breaks_P1', () => {
    finds(judge(new Story().connects().gets(1).gets(2).gets(3).gets(4).gets(5).ends()), 'P1', /never came/);
});

test('a_client_that_never_got_anything_breaks_P1', () => {
    finds(judge(new Story().connects().ends()), 'P1', /never got anything/);
});

test('ids_that_descend_break_P1', () => {
    finds(judge(new Story().connects().gets(3).gets(2).gets(4).gets(5).gets(6).ends()), 'P1', /not ascending/);
});

test('other_content_under_an_id_breaks_P1', () => {
    const story = new Story().connects().gets(4, { content: 'bert 3' }).gets(5).gets(6).ends();
    finds(judge(story), 'P1', /something else is stored/);
});

test('a_message_that_is_not_stored_breaks_P1', () => {
    const rows = new Map([...ROWS].slice(0, 5));
    finds(judge(new Story().connects().gets(4).gets(5).gets(6).ends(), { rows }), 'P1', /nothing is stored/);
});

test('another_epoch_breaks_P1', () => {
    finds(judge(new Story().connects().gets(5).gets(6, { epoch: 8 }).ends()), 'P1', /another epoch/);
});

test('a_hole_in_what_is_stored_breaks_P1', () => {
    const rows = new Map([...ROWS].filter(([id]) => id !== 3));
    finds(judge(new Story().connects().gets(4).gets(5).gets(6).ends(), { rows }), 'P1', /a hole in what is stored/);
});

test('who_does_not_want_its_own_messages_does_not_miss_them', () => {
    const story = new Story({ echo: false }).connects({ sid: 's1' }).gets(3).gets(4);
    isGood(judge(story.sends(1).acked(1, 5).sends(2).acked(2, 6).ends()));
});

test('an_own_message_that_was_not_wanted_breaks_P1', () => {
    const story = new Story({ echo: false }).connects({ sid: 's1' }).gets(4).gets(5).ends();
    finds(judge(story), 'P1', /did not want/);
});

test('a_hole_at_the_beginning_of_a_connection_breaks_P5', () => {
    const story = new Story().connects().gets(2).leaves().connects({ fresh: true });
    finds(judge(story.gets(4).gets(5).gets(6).ends()), 'P5', /never came/);
});

test('recovered_with_a_gap_breaks_P5', () => {
    const story = new Story().connects().gets(2).leaves().connects({ recovered: true, resumes: true });
    finds(judge(story.gap(3, 3).gets(4).gets(5).gets(6).ends()), 'P5', /yet there was a gap/);
});

test('not_recovered_though_nothing_was_missing_breaks_P5', () => {
    const story = new Story().connects().gets(2).leaves().connects({ recovered: false, resumes: true });
    finds(judge(story.gets(3).gets(4).gets(5).gets(6).ends()), 'P5', /nothing was missing/);
});

test('not_recovered_with_a_gap_is_the_truth', () => {
    const story = new Story().connects().gets(2).leaves().connects({ recovered: false, resumes: true });
    isGood(judge(story.gap(3, 3).gets(4).gets(5).gets(6).ends()));
});

test('silence_until_after_the_deadline_breaks_P4', () => {
    finds(judge(goodStory().sends(3).add('end', { complete: true }, 14_000)), 'P4', /neither acknowledged nor refused/);
});

test('a_late_acknowledgement_breaks_P4', () => {
    const rows = new Map([...ROWS, [7, row('anna', 3, 's1')]]);
    const story = goodStory().sends(3).acked(3, 7, {}, 14_000);
    finds(judge(story.gets(7, { from: 'anna', clientId: 'a3', content: 'anna 3' }).ends(), { rows }), 'P4', /in time/);
});

test('silence_on_a_connection_that_ended_is_none', () => {
    isGood(judge(goodStory().sends(3).leaves({}, 5000).connects({ recovered: true, resumes: true }, 20_000).ends()));
});

test('a_chat_error_ends_a_send', () => {
    isGood(judge(goodStory().sends(3).refused(3).add('end', { complete: true }, 30_000)));
});

test('a_frozen_gateway_answers_when_it_goes_on', () => {
    const faults = [fault({ begin: 12_000, end: 20_000, cuts: ['gateway-0'] })];
    const slow = () => goodStory().sends(3).add('error', { clientId: 'a3', code: 'unavailable' }, 20_000).ends();
    isGood(judge(slow(), { faults }));
    finds(judge(slow(), { faults: [{ ...faults[0], cuts: ['gateway-1'] }] }), 'P4', /in time/);
});

test('a_good_message_that_is_refused_for_good_breaks_P4', () => {
    finds(judge(goodStory().sends(3).acked(3, 0, { status: 'error', code: 'invalid_message' }).ends()), 'P4', /refused/);
});

const SWAPPED = new Map([...ROWS, [5, row('anna', 2, 's1')], [6, row('anna', 1, 's1')]]);

/** Sends 1 and 2, which are stored as 2 and 1. */
function swapped(between = (story) => story) {
    const story = between(new Story().connects().gets(4).sends(1).sends(2));
    const told = { from: 'anna', epoch: EPOCH };
    story.add('message', { ...told, id: 5, clientId: 'a2', content: 'anna 2' });
    return story.add('message', { ...told, id: 6, clientId: 'a1', content: 'anna 1' }).ends();
}

test('swapped_messages_of_one_connection_break_P6', () => {
    finds(judge(swapped(), { rows: SWAPPED }), 'P6', /another order/);
});

test('a_message_that_was_refused_and_sent_again_may_come_later', () => {
    isGood(judge(swapped((story) => story.refused(1).sends(1)), { rows: SWAPPED }));
});

test('a_message_that_was_sent_again_without_a_refusal_may_not_come_later', () => {
    finds(judge(swapped((story) => story.sends(1)), { rows: SWAPPED }), 'P6', /another order/);
});

test('messages_of_two_connections_have_no_order', () => {
    isGood(judge(swapped((story) => story.leaves().connects({ recovered: true, resumes: true }).sends(1)), { rows: SWAPPED }));
});

test('what_the_library_sends_again_keeps_its_order', () => {
    const story = new Story({ retries: true }).connects().gets(4).sends(1).sends(2);
    story.add('message', { id: 5, from: 'anna', epoch: EPOCH, clientId: 'a2', content: 'anna 2' });
    story.add('message', { id: 6, from: 'anna', epoch: EPOCH, clientId: 'a1', content: 'anna 1' });
    finds(judge(story.ends(), { rows: SWAPPED }), 'P6', /another order/);
});

test('memory_at_its_limit_and_one_more', () => {
    const memory = (kib) => ({ memory: [{ program: 'gateway-0', kib, limitKib: 100 }] });
    isGood(judge(goodStory().ends(), memory(100)));
    finds(judge(goodStory().ends(), memory(101)), 'P7', /more memory/);
});

test('a_connection_that_ends_while_only_the_database_is_away_breaks_P8', () => {
    const story = () => goodStory().leaves({ own: false }).connects({ recovered: true, resumes: true }).ends();
    finds(judge(story(), { faults: [fault({ end: 60_000, storeAway: true })] }), 'P8', /nothing had happened to its gateway/);
    isGood(judge(story(), { faults: [fault({ end: 60_000, cuts: ['gateway-0'] })] }));
});

test('memory_that_is_not_served_breaks_P8', () => {
    finds(judge(goodStory().add('read', { gateway: 'gateway-0', ms: 5000, complete: false }).ends()), 'P8', /memory was not served/);
});

test('a_CONNECT_ERROR_breaks_P8', () => {
    finds(judge(goodStory().add('refusal', { gateway: 'gateway-0', message: 'no' }).ends()), 'P8', /CONNECT_ERROR/);
});

test('a_history_without_an_end_breaks_P1', () => {
    finds(judge(goodStory()), 'P1', /no end/);
});
