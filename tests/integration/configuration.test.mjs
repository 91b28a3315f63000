/**
 * A wrong setting ends a program at its start, with one sentence that names the setting and says what to do.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { Child } from './harness/child.mjs';
import { BIN_DIR, Gateway, ROOT, Store } from './harness/parley.mjs';
import { promise } from './harness/promise.mjs';
import { ownStack } from './harness/stack.mjs';
import { within } from './harness/wait.mjs';

const stack = ownStack({ gateways: 1 });

/** Runs a program to its end. */
async function run(binary, env, args = []) {
    const child = new Child(binary, path.join(BIN_DIR, binary), args, { env, cwd: ROOT });
    try {
        await within(child.exited, () => `the end of ${binary} with ${JSON.stringify(env)}: ${child.text('err')}`);
    } finally {
        child.signal('SIGKILL');
    }
    return child;
}

/** The program ended, and said why in one sentence (beside events of its log) that names the setting. */
function assertSentence(child, setting) {
    assert.ok(child.exit.code > 0, `an exit status that is not 0: ${child.ending()}`);
    const lines = child.text('err').trim().split('\n');
    const sentences = lines.filter((line) => !/^event=\S+ level=(info|warn) /.test(line));
    assert.equal(sentences.length, 1, `one sentence: ${lines.join(' / ')}`);
    assert.match(sentences[0], new RegExp(`\\b${setting}\\b`));
    assert.equal(child.text('out'), '');
    return sentences[0];
}

const GATEWAY = 'parley-gateway';
const STORE = 'parley-store';

for (const [what, binary, setting, value] of [
    ['a_port_that_is_no_number', GATEWAY, 'PORT', 'three thousand'],
    ['a_port_out_of_range', GATEWAY, 'PORT', '65536'],
    ['a_negative_port', GATEWAY, 'ADMIN_PORT', '-1'],
    ['a_number_with_something_behind', GATEWAY, 'RECOVERY_MAX', '100x'],
    ['an_empty_number', GATEWAY, 'CONNECTIONS_MAX', ' '],
    ['a_duration_of_unknown_unit', GATEWAY, 'PING_INTERVAL', '5 parsecs'],
    ['a_duration_without_a_unit', GATEWAY, 'SEND_DEADLINE', '8000'],
    ['a_duration_that_is_too_short', GATEWAY, 'PING_TIMEOUT', '1ms'],
    ['a_size_of_unknown_unit', GATEWAY, 'CONTENT_BYTES_MAX', '1PB'],
    ['a_size_that_overflows', GATEWAY, 'PAYLOAD_BYTES_MAX', '99999999999999999999'],
    ['an_unknown_choice', GATEWAY, 'ACCESS_LOG', 'fancy'],
    ['a_room_that_may_take_more_than_all_rooms', GATEWAY, 'ROOM_LOG_BYTES_MAX', '1GiB'],
    ['a_packet_that_holds_no_message', GATEWAY, 'PAYLOAD_BYTES_MAX', '16KiB'],
    ['a_switch_that_is_neither_on_nor_off', GATEWAY, 'LOG_MESSAGES', 'maybe'],
    ['a_proxy_that_is_no_address', GATEWAY, 'TRUSTED_PROXIES', 'balancer.example'],
    ['a_limit_of_connections_that_is_negative', GATEWAY, 'CONNECTIONS_PER_ADDRESS_MAX', '-1'],
    ['session_keys_that_are_none', GATEWAY, 'SESSION_KEYS', 'secret'],
    ['session_keys_that_are_too_short', GATEWAY, 'SESSION_KEYS', 'a:0123456789abcdef'],
    ['a_nats_url_that_is_none', GATEWAY, 'NATS_URL', 'nats://:::'],
    ['an_address_that_is_none', GATEWAY, 'HOST', '999.0.0.1'],
    ['a_page_that_is_not_there', GATEWAY, 'WEB_ROOT', '/nonexistent'],
    ['a_client_that_is_not_there', GATEWAY, 'CLIENT_ROOT', '/nonexistent'],
    ['a_choice_of_the_stores', STORE, 'LOG_FORMAT', 'xml'],
    ['a_number_of_the_stores', STORE, 'WRITE_LANES', '0'],
    ['shards_that_are_no_range', STORE, 'SHARDS', '9-3'],
    ['shards_that_do_not_exist', STORE, 'SHARDS', '0-64'],
    ['a_database_url_that_is_none', STORE, 'DATABASE_URL', 'postgresql://[half'],
]) {
    promise(`${what}_is_told_in_one_sentence`, { of: stack }, async () => {
        const of = binary === GATEWAY ? stack.gateways[0] : stack.stores[0];
        assertSentence(await run(binary, { ...of.env, [setting]: value }), setting);
    });
}

promise('a_port_in_use_is_told_in_one_sentence', { of: stack }, async (t) => {
    const squatter = net.createServer();
    await new Promise((resolve) => squatter.listen(0, '127.0.0.1', resolve));
    t.after(() => squatter.close());
    const port = String(squatter.address().port);
    for (const [program, setting] of [
        [stack.gateways[0], 'PORT'],
        [stack.gateways[0], 'ADMIN_PORT'],
        [stack.stores[0], 'ADMIN_PORT'],
    ]) {
        const child = await run(path.basename(program.binary), { ...program.env, [setting]: port });
        assert.ok(assertSentence(child, setting).includes(port));
    }
});

promise('a_NATS_that_takes_only_short_messages_is_told', { of: stack }, async (t) => {
    const configuration = stack.file('short.conf');
    await writeFile(configuration, 'max_payload: 65536\n');
    const nats = new Child('nats', 'nats-server', ['-c', configuration, '-a', '127.0.0.1', '-p', '-1']);
    t.after(() => nats.end());
    const [, port] = await nats.line(/Listening for client connections on 127\.0\.0\.1:(\d+)/);
    const env = { NATS_URL: `nats://127.0.0.1:${port}` };
    for (const program of [
        new Gateway('gateway', { ...stack.gateways[0].env, ...env }),
        new Store('store', { ...stack.stores[0].env, ...env }),
    ]) {
        stack.adopt(program);
        await program.launch();
        await program.child.line(/^event=nats_max_payload_too_small level=error .*max_payload=65536 needed=524288 .*NATS_URL/);
    }
});

promise('a_secret_is_never_shown', { of: stack }, async () => {
    const child = await run(GATEWAY, { ...stack.gateways[0].env, SESSION_KEYS: 'hush' });
    assert.doesNotMatch(child.text('err') + child.text('out'), /hush/);
});

promise('help_lists_every_setting_and_ends_well', { of: stack }, async () => {
    for (const [binary, settings] of [
        [GATEWAY, ['PORT', 'SESSION_KEYS', 'ACCESS_LOG', 'RECOVERY_MAX']],
        [STORE, ['DATABASE_URL', 'NATS_URL', 'SHARDS']],
    ]) {
        for (const argument of ['--help', '--version', '--config-markdown']) {
            const child = await run(binary, {}, [argument]);
            assert.equal(child.exit.code, 0, argument);
            assert.equal(child.text('err'), '');
            const text = child.text('out');
            if (argument !== '--version') for (const setting of settings) assert.match(text, new RegExp(`\\b${setting}\\b`));
        }
        const wrong = await run(binary, {}, ['--frobnicate']);
        assert.equal(wrong.exit.code, 2);
        assert.match(wrong.text('err'), /--frobnicate/);
    }
});
