/**
 * Socket.IO 5, rule by rule, at the wire of the protocol library alone. Each rule holds on a WebSocket and over polling.
 */
import assert from 'node:assert/strict';
import { ownEcho } from './harness/echo.mjs';
import { Polling, request } from './harness/polling.mjs';
import { promise } from './harness/promise.mjs';
import { OP, RawWebSocket, frame } from './harness/raw_websocket.mjs';

const echo = ownEcho('sio-echo', { 'max-payload': 10_000 });
const hasty = ownEcho('sio-echo', { 'connect-timeout': 300 });

/** A session that has joined nothing, on either transport, with the same few words for both. */
const TRANSPORTS = {
    a_WebSocket: async (t, server) => {
        const raw = await RawWebSocket.ask(t, server.url, `${server.path}?EIO=4&transport=websocket`);
        await raw.text();
        return {
            send: async (...packets) =>
                raw.write(
                    Buffer.concat(
                        packets.map((packet) =>
                            typeof packet === 'string' ? frame({ payload: packet }) : frame({ opcode: OP.binary, payload: packet }),
                        ),
                    ),
                ),
            next: async () => {
                for (;;) {
                    const { opcode, payload } = await raw.frame();
                    if (opcode === OP.binary) return payload;
                    if (opcode === OP.text) return payload.toString();
                    if (opcode === OP.close) throw new Error('closed');
                }
            },
            ended: () => raw.ended(),
        };
    },
    polling: async (t, server) => {
        const polling = await Polling.open(t, server);
        return {
            send: async (...packets) => {
                const coded = packets.map((packet) => (typeof packet === 'string' ? packet : `b${packet.toString('base64')}`));
                await polling.post(coded.join('\x1e'));
            },
            next: async () => {
                const packet = await polling.packet();
                return packet[0] === 'b' ? Buffer.from(packet.slice(1), 'base64') : packet;
            },
            ended: async () => {
                for (;;) {
                    const { status, text } = await polling.get();
                    if (status === 400 && JSON.parse(text).code === 1) return;
                    assert.ok(status === 200, text);
                }
            },
        };
    },
};

/** Declares a promise for each transport. */
function promises(name, keep, server = echo) {
    for (const [transport, open] of Object.entries(TRANSPORTS))
        promise(`${name}_on_${transport}`, { of: server }, async (t) => keep(await open(t, server)));
}

/** The same, in the namespace "/" already. */
function promisesIn(name, keep) {
    promises(name, async (session) => {
        await session.send('40');
        assert.match(await session.next(), /^40\{"sid"/);
        assert.equal(await session.next(), '42["auth",{}]');
        await keep(session);
    });
}

promises('the_connect_reply_is_exactly_sid_where_there_is_no_recovery', async (session) => {
    await session.send('40');
    assert.match(await session.next(), /^40\{"sid":"[A-Za-z0-9_-]{20}"\}$/);
});

promises('auth_comes_back_as_it_was', async (session) => {
    await session.send('40{"token":"1 2","n":1.50}');
    await session.next();
    assert.equal(await session.next(), '42["auth",{"token":"1 2","n":1.50}]');
});

promises('namespaces_are_joined_with_and_without_a_comma_beside_each_other', async (session) => {
    await session.send('40/custom,{"a":1}');
    assert.match(await session.next(), /^40\/custom,\{"sid":"[^"]+"\}$/);
    assert.equal(await session.next(), '42/custom,["auth",{"a":1}]');
    await session.send('40');
    assert.match(await session.next(), /^40\{"sid"/);
    await session.next();
});

promises('a_namespace_without_its_comma_is_joined', async (session) => {
    await session.send('40/custom');
    assert.match(await session.next(), /^40\/custom,\{"sid"/);
});

promises('an_unknown_namespace_is_refused_with_exactly_Invalid_namespace_and_the_others_stay', async (session) => {
    await session.send('40');
    await session.next();
    await session.next();
    for (const namespace of ['/random', '/custom/more', '/customs', '/Custom']) {
        await session.send(`40${namespace},`);
        assert.equal(await session.next(), `44${namespace},{"message":"Invalid namespace"}`);
    }
    await session.send('42["message",1]');
    assert.equal(await session.next(), '42["message-back",1]');
});

promises(
    'who_joins_no_namespace_in_connect_timeout_is_let_go',
    async (session) => {
        const since = performance.now();
        await session.ended();
        assert.ok(performance.now() - since > 250);
    },
    hasty,
);

promises(
    'leaving_the_last_namespace_does_not_end_the_connection_and_is_not_answered',
    async (session) => {
        await session.send('40');
        await session.next();
        await session.next();
        await session.send('41');
        await new Promise((resolve) => setTimeout(resolve, 350)); // longer than connect-timeout: nothing must happen
        await session.send('40/custom,');
        assert.match(await session.next(), /^40\/custom,/);
    },
    hasty,
);

promisesIn('arguments_are_echoed_as_they_came', async (session) => {
    for (const args of ['1,"2",{"3":[true]}', '"\\u00e9é"', '1.0e2, -0 ,null', '[[],{}]'])
        for (const [sent, answer] of [
            [`42["message",${args}]`, `42["message-back",${args}]`],
            [`42456["message-with-ack",${args}]`, `43456[${args}]`],
        ]) {
            await session.send(sent);
            assert.equal(await session.next(), answer);
        }
    await session.send('42["message"]');
    assert.equal(await session.next(), '42["message-back"]');
    await session.send('420["message-with-ack"]');
    assert.equal(await session.next(), '430[]');
});

promisesIn('an_event_name_may_be_a_number', async (session) => {
    await session.send('42[1,2]', '42["message",3]');
    assert.equal(await session.next(), '42["message-back",3]');
});

promisesIn('acknowledgements_of_nothing_are_ignored', async (session) => {
    await session.send('431[]', '4312["x"]', '42["message",3]');
    assert.equal(await session.next(), '42["message-back",3]');
});

promisesIn('packets_for_a_namespace_not_joined_are_ignored', async (session) => {
    await session.send('42/custom,["message",1]', '41/custom,', '42/nowhere,["message",2]', '42["message",3]');
    assert.equal(await session.next(), '42["message-back",3]');
});

promisesIn('binary_events_go_both_ways', async (session) => {
    const placeholder = (num) => `{"_placeholder":true,"num":${num}}`;
    const head = `["message",${placeholder(0)},"x",[${placeholder(1)}]]`;
    await session.send(`452-${head}`, Buffer.from([1, 2, 3]), Buffer.alloc(0));
    assert.equal(await session.next(), `452-${head.replace('message', 'message-back')}`);
    assert.deepEqual(await session.next(), Buffer.from([1, 2, 3]));
    assert.deepEqual(await session.next(), Buffer.alloc(0));
});

promisesIn('binary_acknowledgements_go_out', async (session) => {
    await session.send('451-789["message-with-ack",{"_placeholder":true,"num":0}]', Buffer.from([9]));
    assert.equal(await session.next(), '461-789[{"_placeholder":true,"num":0}]');
    assert.deepEqual(await session.next(), Buffer.from([9]));
});

promisesIn('ten_attachments_are_fine', async (session) => {
    const num = Array.from({ length: 10 }, (_, i) => `{"_placeholder":true,"num":${i}}`).join();
    await session.send(`4510-["message",${num}]`, ...Array.from({ length: 10 }, (_, i) => Buffer.from([i])));
    assert.equal(await session.next(), `4510-["message-back",${num}]`);
    for (let i = 0; i < 10; i++) assert.deepEqual(await session.next(), Buffer.from([i]));
});

const ONE = '{"_placeholder":true,"num":0}';
for (const [what, ...packets] of [
    ['an_unknown_type', '49'],
    ['no_type', '4'],
    ['an_event_that_is_an_object', '42{}'],
    ['an_event_without_a_name', '42[]'],
    ['an_event_without_payload', '42'],
    ['a_name_that_is_an_object', '42[{}]'],
    ['broken_JSON', '42["message",'],
    ['an_acknowledgement_without_a_number', '43abc[]'],
    ['an_event_whose_ack_id_is_no_number', '42abc["message"]'],
    ['auth_that_is_no_object', '40/custom,[1]'],
    ['a_second_CONNECT', '40'],
    ['the_reserved_event_connect', '42["connect"]'],
    ['the_reserved_event_connect_error', '42["connect_error"]'],
    ['the_reserved_event_disconnect', '42["disconnect"]'],
    ['the_reserved_event_disconnecting', '42["disconnecting"]'],
    ['the_reserved_event_newListener', '42["newListener"]'],
    ['the_reserved_event_removeListener', '42["removeListener"]'],
    ['a_bad_attachment_count', `45x-["message",${ONE}]`],
    ['no_attachment_count', `45["message",${ONE}]`],
    ['more_than_ten_attachments', `4511-["message",${ONE}]`],
    ['a_placeholder_out_of_range', '451-["message",{"_placeholder":true,"num":1}]', Buffer.from([1])],
    ['text_while_binaries_are_awaited', `451-["message",${ONE}]`, '42["message",1]'],
    ['binary_when_none_is_awaited', Buffer.from([1])],
    ['binary_behind_the_last_awaited', `451-["message",${ONE}]`, Buffer.from([1]), Buffer.from([2])],
    ['attachments_over_the_maximum_together', `452-["message",${ONE}]`, Buffer.alloc(5001), Buffer.alloc(5001)],
])
    promisesIn(`${what}_closes_the_connection`, async (session) => {
        if (packets.length === 3 && what.endsWith('maximum_together')) for (const packet of packets) await session.send(packet);
        else await session.send(...packets);
        await session.ended();
    });

promise('there_is_no_recovery_and_nothing_is_appended_to_events', { of: echo }, async (t) => {
    const polling = await Polling.join(t, echo, '', { pid: 'x', offset: 'y' });
    assert.deepEqual(Object.keys(JSON.parse(polling.reply.slice(2))), ['sid']);
    assert.notEqual(JSON.parse(polling.reply.slice(2)).sid, polling.handshake.sid);
});

promise('other_paths_are_not_served', { of: echo }, async () => {
    assert.equal((await request(echo.url, '/')).status, 404);
    assert.equal((await request(echo.url, '/engine.io/?EIO=4&transport=polling')).status, 404);
});
