/**
 * The main job: people on different gateways talk in one room.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { someone, someoneIn, range } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { anyStack, freshRoom } from './harness/stack.mjs';

const stack = anyStack();

promise('people_on_two_gateways_see_every_message_once_in_one_order', {}, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: 'anna' } });
    const bert = await someoneIn(t, stack.urls[1], { room, auth: { username: 'bert' } });

    // Nobody waits for anybody: the order is the store's to make.
    const acks = await Promise.all(range(1, 50).flatMap((n) => [anna.say(`a${n}`), bert.say(`b${n}`)]));

    for (const person of [anna, bert]) {
        await person.hasCounted(100);
        person.sawExactly(1, 100);
    }
    assert.deepEqual(anna.contents, bert.contents);
    assert.deepEqual(acks.map((ack) => Number(ack.id)).sort((a, b) => a - b), range(1, 100));
    const byName = new Map([...'ab'].map((letter) => [letter, anna.contents.filter((text) => text[0] === letter)]));
    for (const [letter, texts] of byName) assert.deepEqual(texts, range(1, 50).map((n) => letter + n), 'sender order');
});

promise('a_message_says_who_said_it_when_and_under_which_id', {}, async (t) => {
    const room = freshRoom();
    const before = Date.now() - 60_000;
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: 'anna' } });
    const bert = await someoneIn(t, stack.urls[1], { room });
    const clientId = randomUUID();
    await anna.say('hello', clientId);
    await bert.hasSeen(1);

    const [message] = bert.messages;
    assert.equal(message.content, 'hello');
    assert.equal(message.id, '1');
    assert.equal(message.username, 'anna');
    assert.deepEqual(Object.keys(message.info).sort(), ['at', 'clientId']);
    assert.equal(message.info.clientId, clientId);
    assert.ok(message.info.at > before && message.info.at < Date.now() + 60_000, `a time of day: ${message.info.at}`);
    assert.match(message.offset, /^\d+-1$/);
});

promise('whoever_gives_no_name_is_anonymous', {}, async (t) => {
    const anna = await someoneIn(t, stack.urls[0], { room: freshRoom() });
    await anna.say('hello');
    assert.equal(anna.messages[0].username, 'anonymous');
});

promise('the_acknowledgement_carries_the_id_and_comes_behind_the_senders_own_copy', {}, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    for (const n of range(1, 20)) {
        const ack = await anna.say(`${n}`);
        assert.deepEqual(ack, { status: 'ok', id: String(n), duplicate: false });
    }
    const told = anna.journal.filter(([kind]) => kind !== 'join').map(([kind, { id }]) => `${kind} ${id}`);
    assert.deepEqual(told, range(1, 20).flatMap((n) => [`message ${n}`, `ack ${n}`]));
});

promise('who_asks_for_no_echo_gets_none_live_or_later', {}, async (t) => {
    const room = freshRoom();
    const door = stack.isOwn ? await stack.door(0) : null;
    const anna = await someoneIn(t, door?.url ?? stack.urls[0], { room, auth: { username: 'anna', echo: false } });
    const bert = await someoneIn(t, stack.urls[1], { room });

    assert.equal((await anna.say('mine')).id, '1');
    assert.equal((await bert.say('yours')).id, '2');
    assert.equal((await anna.say('mine again')).id, '3');
    await anna.hasSeen(2);
    await bert.hasSeen(3);
    bert.sawExactly(1, 3);
    assert.deepEqual(anna.ids, [2]);

    // Her messages since the last one that she saw are hers on resume too.
    anna.dropConnection();
    assert.equal((await anna.joined(2)).recovered, true);
    await bert.say('yours again');
    await anna.hasSeen(4);
    assert.deepEqual(anna.ids, [2, 4]);
});

promise('a_message_needs_no_acknowledgement_and_no_client_id', {}, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    anna.socket.emit('chat message', 'bare');
    anna.socket.emit('chat message', 'with an id', randomUUID());
    const ack = await anna.socket.timeout(10_000).emitWithAck('chat message', 'with an ack');
    assert.deepEqual(ack, { status: 'ok', id: '3', duplicate: false });
    assert.deepEqual(anna.contents, ['bare', 'with an id', 'with an ack']);
    anna.sawExactly(1, 3);
});

promise('rooms_are_separate_and_one_connection_may_be_in_many', {}, async (t) => {
    const [kitchen, garden] = [freshRoom('kitchen'), freshRoom('garden')];
    const inKitchen = await someoneIn(t, stack.urls[0], { room: kitchen, auth: { username: 'anna' } });
    const shared = { room: garden, auth: { username: 'anna in the garden' }, options: { forceNew: false } };
    const both = [
        await someoneIn(t, stack.urls[1], { ...shared, room: kitchen }),
        await someoneIn(t, stack.urls[1], shared),
    ];
    assert.equal(both[0].socket.io, both[1].socket.io, 'one connection');

    await inKitchen.say('in the kitchen');
    await both[1].say('in the garden');
    await both[0].hasSeen(1);
    assert.deepEqual(both[0].contents, ['in the kitchen']);
    assert.deepEqual(both[1].contents, ['in the garden']);
    assert.equal(both[1].messages[0].username, 'anna in the garden');

    both[0].socket.disconnect();
    await both[1].say('still here');
    assert.deepEqual(both[1].contents, ['in the garden', 'still here'], 'leaving one room leaves the other alone');
});

promise('a_newcomer_gets_the_newest_50_and_a_returner_all_that_it_missed', {}, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    await Promise.all(range(1, 70).map((n) => anna.say(`${n}`)));

    const newcomer = await someoneIn(t, stack.urls[1], { room });
    const fromStart = await someoneIn(t, stack.urls[1], { room, auth: { serverOffset: 0 } });
    const fromNumber = await someoneIn(t, stack.urls[0], { room, auth: { serverOffset: 65 } });
    const fromString = await someoneIn(t, stack.urls[1], { room, auth: { serverOffset: '69' } });
    const upToDate = await someoneIn(t, stack.urls[1], { room, auth: { serverOffset: '70' } });
    await anna.say('and now all together');
    for (const [person, from] of [[newcomer, 21], [fromStart, 1], [fromNumber, 66], [fromString, 70], [upToDate, 71]]) {
        await person.hasSeen(71);
        person.sawExactly(from, 71);
        assert.deepEqual(person.gaps, []);
    }
});

promise('an_offset_past_everything_counts_as_none', {}, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    await Promise.all(range(1, 3).map((n) => anna.say(`${n}`)));
    const dreamer = await someoneIn(t, stack.urls[1], { room, auth: { serverOffset: 1000 } });
    await anna.say('4');
    await dreamer.hasSeen(4);
    dreamer.sawExactly(1, 4);
});

promise('a_send_repeated_with_its_client_id_is_one_row_and_one_message', { database: stack }, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: 'anna' } });
    const elsewhere = await someoneIn(t, stack.urls[1], { room, auth: { username: 'anna' } });
    const clientId = randomUUID();

    assert.deepEqual(await anna.say('once', clientId), { status: 'ok', id: '1', duplicate: false });
    assert.deepEqual(await anna.say('once', clientId), { status: 'ok', id: '1', duplicate: true });
    assert.deepEqual(await elsewhere.say('once', clientId), { status: 'ok', id: '1', duplicate: true });
    // In one batch, too.
    const burst = await Promise.all(range(1, 5).map(() => anna.say('burst', `${clientId}-b`)));
    assert.deepEqual(burst.map((ack) => ack.id), ['2', '2', '2', '2', '2']);
    assert.deepEqual(burst.map((ack) => ack.duplicate).sort(), [false, true, true, true, true]);

    await anna.say('the end');
    for (const person of [anna, elsewhere]) {
        await person.hasSeen(3);
        assert.deepEqual(person.contents, ['once', 'burst', 'the end']);
    }
    const rows = await stack.rows(
        'SELECT m.id FROM messages m JOIN rooms r ON r.id = m.room_id WHERE r.name = $1 ORDER BY m.id',
        [room],
    );
    assert.deepEqual(rows.map((row) => Number(row.id)), [1, 2, 3]);
});

promise('a_client_id_means_the_same_message_only_from_the_same_sender_with_the_same_content', {}, async (t) => {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room, auth: { username: 'anna' } });
    const bert = await someoneIn(t, stack.urls[0], { room, auth: { username: 'bert' } });
    const clientId = randomUUID();
    assert.equal((await anna.say('same', clientId)).id, '1');
    assert.deepEqual(await bert.say('same', clientId), { status: 'ok', id: '2', duplicate: false });
    assert.deepEqual(await anna.say('other', clientId), { status: 'ok', id: '3', duplicate: false });
});

promise('short_client_ids_and_undefined_ones_count_within_their_session', {}, async (t) => {
    const room = freshRoom();
    const auth = { username: 'anna' };
    const one = await someoneIn(t, stack.urls[0], { room, auth });
    const other = await someoneIn(t, stack.urls[1], { room, auth });
    const ids = ['1', 'fifteen_bytes__', 'undefined-0', 'undefined-0000000000000000'];
    for (const [i, id] of ids.entries()) {
        assert.equal((await one.say('same', id)).id, String(2 * i + 1));
        assert.equal((await one.say('same', id)).duplicate, true, `${id} again`);
        assert.equal((await other.say('same', id)).id, String(2 * i + 2), `${id} from another session`);
    }
});

promise('someone_who_is_not_there_yet_gets_what_was_typed_before', {}, async (t) => {
    const room = freshRoom();
    const anna = someone(t, stack.urls[0], { room });
    // Buffered by the library until the connection stands.
    const ack = await anna.say('typed early');
    assert.deepEqual(ack, { status: 'ok', id: '1', duplicate: false });
});
