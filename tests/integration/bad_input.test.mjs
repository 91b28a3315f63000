/**
 * What a client must not send: it is refused alone, and its neighbours on the connection, in the batch and in the room
 * are unharmed.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { connect as connectToNats } from 'nats';
import { range, someone, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { RawWebSocket } from './harness/raw_websocket.mjs';
import { anyStack, freshRoom } from './harness/stack.mjs';

const stack = anyStack();

const CONTENT_BYTES_MAX = 16 * 1024;

/**
 * Sends good, bad, good in one go, which is one batch, and checks that only the bad one is refused, and that neither
 * someone else in the room nor the sender notices anything of it.
 */
async function refusedAlone(t, bad, code, clientId = randomUUID()) {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const bert = await someoneIn(t, stack.urls[1], { room });
    const [first, refused, second, third] = await Promise.all([
        anna.say('good'),
        anna.say(bad, clientId),
        bert.say('elsewhere'),
        anna.say('good too'),
    ]);
    assert.equal(refused.status, 'error', JSON.stringify(refused));
    assert.equal(refused.code, code);
    assert.equal(typeof refused.message, 'string');
    assert.deepEqual([first, second, third].map((ack) => ack.status), ['ok', 'ok', 'ok']);
    for (const person of [anna, bert]) {
        await person.hasCounted(3);
        person.sawExactly(1, 3);
        assert.deepEqual(person.contents.filter((text) => text !== 'elsewhere'), ['good', 'good too']);
        assert.equal(person.joins.length, 1, 'the connection stays');
    }
}

for (const [what, bad, code] of [
    ['an_oversized_message', 'x'.repeat(CONTENT_BYTES_MAX + 1), 'too_large'],
    ['a_message_that_is_oversized_in_bytes_only', 'ü'.repeat(CONTENT_BYTES_MAX / 2 + 1), 'too_large'],
    ['a_message_with_U_0000', 'nothing \u0000 here', 'invalid_message'],
    ['a_message_with_a_lone_high_surrogate', 'half \ud83d of a face', 'invalid_message'],
    ['a_message_with_a_lone_low_surrogate', '\ude00', 'invalid_message'],
    ['a_message_that_is_a_number', 17, 'invalid_message'],
    ['a_message_that_is_an_object', { toString: 'hello' }, 'invalid_message'],
    ['a_message_that_is_a_list', ['hello'], 'invalid_message'],
    ['a_message_that_is_null', null, 'invalid_message'],
    ['a_message_that_is_true', true, 'invalid_message'],
    ['a_message_that_is_binary', Buffer.from('hello'), 'invalid_message'],
]) {
    promise(`${what}_is_refused_alone`, {}, (t) => refusedAlone(t, bad, code));
}

for (const [what, clientId] of [
    ['a_number', 17],
    ['an_object', {}],
    ['65_bytes_long', 'x'.repeat(65)],
    ['65_bytes_long_in_33_characters', 'ü'.repeat(32) + 'x'],
    ['with_U_0000', 'abcdefgh\u0000abcdefgh'],
    ['with_a_lone_surrogate', 'abcdefgh\ud800abcdefgh'],
]) {
    promise(`a_message_whose_client_id_is_${what}_is_refused_alone`, {}, (t) =>
        refusedAlone(t, 'a good text', 'invalid_message', clientId),
    );
}

promise('messages_up_to_the_limits_are_taken_and_come_out_as_they_went_in', {}, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const bert = await someoneIn(t, stack.urls[1], { room });
    const texts = [
        'x'.repeat(CONTENT_BYTES_MAX),
        'ü'.repeat(CONTENT_BYTES_MAX / 2),
        '😀'.repeat(CONTENT_BYTES_MAX / 4),
        '"\\\b\f\n\r\t\u0001\u007f\u2028\u2029/</script>',
        '\ufeff\uffff\ufffe \u{10ffff}',
        '%s%n{}$1:name\'"`',
    ];
    for (const text of texts) assert.equal((await anna.say(text, 'i'.repeat(64 - 1) + texts.indexOf(text))).status, 'ok');
    await bert.hasSeen(texts.length);
    assert.deepEqual(bert.contents, texts);
});

promise('a_refused_message_without_an_acknowledgement_is_told_as_a_chat_error', {}, async (t) => {
    const anna = await someoneIn(t, stack.urls[0], { room: freshRoom() });
    const clientId = randomUUID();
    anna.socket.emit('chat message', 'x'.repeat(CONTENT_BYTES_MAX + 1), clientId);
    await anna.until(() => anna.errors.length > 0, 'a chat error');
    assert.equal(anna.errors[0].code, 'too_large');
    assert.equal(anna.errors[0].clientId, clientId);
    assert.equal((await anna.say('fine')).id, '1');
});

promise('an_event_that_the_chat_does_not_know_harms_nobody', {}, async (t) => {
    const anna = await someoneIn(t, stack.urls[0], { room: freshRoom() });
    anna.socket.emit('hello');
    anna.socket.emit('chat', 'message', {}, [[]]);
    anna.socket.emit('chat message');
    anna.socket.emit('chat history');
    assert.equal((await anna.say('fine')).id, '1');
    assert.equal(anna.joins.length, 1);
});

promise('SQL_in_any_field_is_text', {}, async (t) => {
    const room = `${freshRoom()}--drop`;
    const sql = `'); DROP TABLE messages; --`;
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: sql, serverOffset: `0'; --` } });
    const bert = await someoneIn(t, stack.urls[1], { room, auth: { serverOffset: '0 OR 1=1' } });
    const contents = [sql, `' OR '1'='1`, '\\', `$$;SELECT pg_sleep(9)`, '{"a","b"}', '\\x00', 'NULL'];
    for (const content of contents) assert.equal((await anna.say(content, `${sql} ${content}`)).status, 'ok');
    await bert.hasSeen(contents.length);
    assert.deepEqual(bert.contents, contents);
    assert.equal(bert.messages[0].username, sql);
    assert.equal(bert.messages[0].info.clientId, `${sql} ${sql}`);
});

promise('a_name_over_32_characters_is_cut_to_32', {}, async (t) => {
    const room = freshRoom();
    const bert = await someoneIn(t, stack.urls[1], { room });
    const names = [
        ['x'.repeat(32), 'x'.repeat(32)],
        ['x'.repeat(33), 'x'.repeat(32)],
        ['😀'.repeat(33), '😀'.repeat(32)],
        [`${'é'.repeat(31)}😀!`, `${'é'.repeat(31)}😀`],
    ];
    for (const [i, [name, cut]] of names.entries()) {
        const person = await someoneIn(t, stack.urls[0], { room, auth: { username: name } });
        await person.say('hello');
        await bert.hasSeen(i + 1);
        assert.equal(bert.messages[i].username, cut);
    }
});

promise('a_name_that_is_no_text_becomes_anonymous', {}, async (t) => {
    const room = freshRoom();
    const bert = await someoneIn(t, stack.urls[1], { room });
    const names = ['', 'nul\u0000', 'lone \ud800', 17, null, {}, ['x']];
    for (const [i, username] of names.entries()) {
        const person = await someoneIn(t, stack.urls[0], { room, auth: { username } });
        await person.say('hello');
        await bert.hasSeen(i + 1);
        assert.equal(bert.messages[i].username, 'anonymous', JSON.stringify(username));
    }
});

promise('a_namespace_that_is_no_room_gets_Invalid_namespace_and_the_others_stay', {}, async (t) => {
    const wrong = ['/a b', '/lobby', '/*', '/>', '/a*', '/a>', '/a.>', '/.a', '/-a', '/a/b', '/ü', '//', '/a\t'];
    const raw = await RawWebSocket.join(t, stack.urls[0], freshRoom());
    for (const namespace of [...wrong, `/${'x'.repeat(65)}`, `/${'x'.repeat(5000)}`]) {
        raw.send(`40${namespace},{}`);
        assert.equal(await raw.text(), `44${namespace},{"message":"Invalid namespace"}`);
    }
    raw.send(`40${raw.namespace.replace(',', '')}-x,`);
    assert.match(await raw.text(), /^40\/room-[^,]*-x,\{/);
    raw.send(`42${raw.namespace}1["chat message","still here"]`);
    await raw.textLike((text) => text.startsWith(`43${raw.namespace}1[{"status":"ok"`));
});

promise('the_client_library_is_told_Invalid_namespace', {}, async (t) => {
    const anna = someone(t, stack.urls[0], { room: 'a b' });
    await anna.until(() => anna.refusals.length > 0, 'a refusal');
    assert.equal(anna.refusals[0].message, 'Invalid namespace');
});

promise('every_good_room_name_is_a_room_of_its_own', {}, async (t) => {
    const stem = freshRoom('N');
    const names = [stem, `${stem}.`, `${stem}.a`, `${stem}_a`, `${stem}~a`, `${stem}-a`, `${stem}=2Ea`.replace('=', '~')];
    names.push(stem.toLowerCase(), (stem + 'x'.repeat(64)).slice(0, 64));
    const people = await Promise.all(names.map((room) => someoneIn(t, stack.urls[0], { room })));
    for (const [i, person] of people.entries()) assert.equal((await person.say(`in ${names[i]}`)).id, '1');
    for (const [i, person] of people.entries()) assert.deepEqual(person.contents, [`in ${names[i]}`]);
});

promise('a_room_name_has_no_effect_on_NATS_subjects', { of: stack }, async (t) => {
    const nats = await connectToNats({ servers: stack.nats.url });
    t.after(() => nats.close());
    const subjects = [];
    nats.subscribe('parley.v1.room.>', { callback: (_, message) => subjects.push(message.subject) });
    await nats.flush();
    const stem = freshRoom('N');
    const rooms = [stem, `${stem}.a`, `${stem}.a.b`, `${stem}~a`];
    for (const [i, room] of rooms.entries()) {
        const anna = await someoneIn(t, stack.urls[i % 2], { room });
        await anna.say(room);
        assert.deepEqual(anna.contents, [room]);
    }
    await nats.flush();
    const tokens = new Set(subjects.filter((subject) => subject.includes(stem)).map((subject) => subject.split('.')[3]));
    for (const subject of subjects) assert.equal(subject.split('.').length, 4, subject);
    assert.deepEqual([...tokens].sort(), [stem, `${stem}=2Ea`, `${stem}=2Ea=2Eb`, `${stem}=7Ea`].sort());
});

promise('a_bad_message_in_the_midst_of_many_senders_batches_harms_no_neighbour', {}, async (t) => {
    const room = freshRoom();
    const people = await Promise.all(range(1, 8).map((n) => someoneIn(t, stack.urls[n % 2], { room })));
    const acks = await Promise.all(
        people.flatMap((person, p) =>
            range(1, 25).map((n) => person.say(n % 5 === p % 5 ? `bad \u0000` : `good ${p} ${n}`)),
        ),
    );
    const good = acks.filter((ack) => ack.status === 'ok');
    assert.equal(good.length, 8 * 20);
    assert.deepEqual(new Set(acks.filter((ack) => ack.status !== 'ok').map((ack) => ack.code)), new Set(['invalid_message']));
    for (const person of people) {
        await person.hasSeen(160);
        person.sawExactly(1, 160);
    }
});
