/**
 * What an operator sees: metrics that a real Prometheus takes, a dashboard with data on every panel, alerts that ring
 * when they should and only then, and a page that leaves none of it out.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, beforeEach } from 'node:test';
import { promisify } from 'node:util';
import {
    Prometheus,
    configuration,
    dashboard,
    metricsIn,
    operationsPage,
    promtool,
    queriesOf,
} from './harness/monitoring.mjs';
import { BIN_DIR, ROOT } from './harness/parley.mjs';
import { range, someone, someoneIn } from './harness/person.mjs';
import { promise } from './harness/promise.mjs';
import { parseMetrics } from './harness/prometheus.mjs';
import { freshRoom, ownStack } from './harness/stack.mjs';
import { PATIENCE, eventually } from './harness/wait.mjs';

const debug = { LOG_LEVEL: 'debug' };
const stack = ownStack({ gateways: 2, stores: 1, gatewayEnv: debug, storeEnv: debug });

/** @type {Prometheus | undefined} of the whole file; the first test that needs one starts it, as the stack is there then */
let prometheus;
beforeEach(
    async () => {
        if (stack.isOwn) prometheus ??= await Prometheus.start(stack);
    },
    { timeout: 60_000 * PATIENCE },
);
after(() => prometheus?.stop());

/** Waits until Prometheus has scraped every program so many times more. */
async function scraped(times) {
    const before = await eventually(() => prometheus.scrapes(), 'the first scrape');
    await eventually(async () => (await prometheus.scrapes()) >= before + times, `${times} more scrapes`);
}

/** Everything that has a metric happens a little. */
async function chat(t) {
    const room = freshRoom();
    const anna = await someoneIn(t, stack.urls[0], { room });
    const bert = await someoneIn(t, stack.urls[1], { room, options: { transports: ['polling'] } });
    await Promise.all(range(1, 20).map((n) => anna.say(`${n}`)));
    await bert.hasSeen(20);
    anna.dropConnection();
    assert.equal((await anna.joined(2)).recovered, true);
    await new Promise((resolve) => anna.socket.emit('chat history', { before: 10, limit: 5 }, resolve));
    return { room, anna, bert };
}

async function namesOf(program) {
    const { stdout } = await promisify(execFile)(path.join(BIN_DIR, program), ['--metrics-markdown']);
    return new Set([...stdout.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name));
}

const sorted = (names) => [...names].sort();

/** The metrics that both programs have. */
async function allNames() {
    return new Set([...(await namesOf('parley-gateway')), ...(await namesOf('parley-store'))]);
}

promise('metrics_are_as_Prometheus_wants_them', { of: stack }, async (t) => {
    await chat(t);
    for (const [program, binary] of [
        [stack.gateways[0], 'parley-gateway'],
        [stack.stores[0], 'parley-store'],
    ]) {
        const text = await program.metrics();
        assert.equal(await promtool(['check', 'metrics'], text), '', `nothing to find fault with in ${program.name}`);
        const told = new Set([...parseMetrics(text).keys()].flatMap((key) => [...metricsIn(key.replace(/\{.*/, ''))]));
        assert.deepEqual(sorted(told), sorted(await namesOf(binary)), 'all are told from the start');
    }
});

promise('what_is_deployed_is_valid', {}, async () => {
    await promtool(['check', 'rules', path.join(ROOT, 'deploy/prometheus/alerts.yml')]);
    await promtool(['check', 'config', path.join(ROOT, 'deploy/prometheus/prometheus.yml')]);
});

promise('what_is_deployed_in_Kubernetes_is_valid', { of: stack }, async () => {
    // Debian's Prometheus knows no Kubernetes: all but the finding of targets is checked.
    const file = stack.file('kubernetes.yml');
    await writeFile(file, await configuration('kubernetes.yml', {}));
    await promtool(['check', 'config', file]);
});

promise('every_panel_of_the_dashboard_has_data', { of: stack }, async (t) => {
    await scraped(2);
    const { anna, bert } = await chat(t);
    await scraped(2);
    const { panels } = await dashboard();
    const queries = panels.flatMap((panel) => queriesOf(panel).map((query) => ({ panel, query })));
    assert.ok(queries.length > 60);
    for (const { panel, query } of queries) {
        const samples = await prometheus.query(query);
        assert.ok(samples.length > 0, `${panel.title}: ${query}`);
        assert.ok(samples.some(({ value }) => Number.isFinite(value)), `a number in ${panel.title}: ${query}`);
    }
    // And they are those of what happened.
    const becomes = (query, value) =>
        eventually(async () => (await prometheus.value(query)) === value, `${query} to be ${value}`);
    await becomes('sum(parley_members)', 2);
    await becomes('sum(parley_sessions{transport="polling"})', 1);
    await becomes('sum(parley_sessions{transport="websocket"})', 1);
    assert.ok((await prometheus.value('sum(parley_joins_total{outcome="resumed",source="memory"})')) >= 1);
    assert.ok((await prometheus.value('sum(parley_messages_stored_total)')) >= 20);
    const [stored] = await stack.rows('SELECT count(*)::int AS count FROM messages');
    assert.equal(await prometheus.value('sum(parley_store_messages_total{outcome="stored"})'), stored.count);
    for (const person of [anna, bert]) person.goHome();
    await becomes('sum(parley_clients)', 0);
});

promise('a_stack_without_trouble_rings_no_bell', { of: stack }, async (t) => {
    await chat(t);
    await scraped(4);
    for (const alert of await prometheus.alerts()) {
        assert.equal(alert.health, 'ok', `${alert.name}: ${alert.lastError}`);
        assert.deepEqual(await prometheus.query(alert.query), [], alert.name);
    }
});

promise('without_a_store_the_bells_ring_and_then_stop', { of: stack }, async (t) => {
    const alerts = new Map((await prometheus.alerts()).map((alert) => [alert.name, alert.query]));
    const rings = (name) => prometheus.query(alerts.get(name)).then((samples) => samples.length > 0);
    const names = ['ParleyStoresGone', 'ParleyStoreDown', 'ParleyJoinsHeld'];
    await stack.stores[0].kill();
    const held = range(1, 3).map(() => someone(t, stack.urls[0], { room: freshRoom() }));
    for (const name of names) await eventually(() => rings(name), `${name} to ring`);
    // At the address that Prometheus knows.
    await stack.stores[0].start({ ADMIN_PORT: String(stack.stores[0].adminPort) });
    for (const person of held) await person.joined();
    for (const name of names) await eventually(async () => !(await rings(name)), `${name} to stop`);
});

/** Series of half an hour that make each alert ring, and no other thing happen. */
const TROUBLE = {
    ParleySendsFail: {
        'parley_messages_refused_total{code="unavailable"}': '0+6x40',
        parley_messages_received_total: '0+100x40',
    },
    ParleySendsSlow: slow('parley_append_duration_seconds', 1.048576, 2.097152),
    ParleyDeliverySlow: slow('parley_commit_to_delivery_seconds', 1.048576, 2.097152),
    ParleyJoinsHeld: { parley_members_joining: '5x40', parley_members: '10x40' },
    ParleyReconnectStorm: { 'parley_joins_total{outcome="resumed"}': '0+100x40', parley_members: '200x40' },
    ParleyRecoveryIncomplete: {
        'parley_chat_gaps_total{reason="limit"}': '0+10x40',
        'parley_joins_total{outcome="caught_up"}': '0+100x40',
    },
    ParleyEpochChanged: { 'parley_chat_gaps_total{reason="epoch"}': '0x25 1x10' },
    ParleyGatewaysGone: { 'up{job="gateway"}': '0x40' },
    ParleyGatewayDown: { 'up{job="gateway",instance="a"}': '1x40', 'up{job="gateway",instance="b"}': '0x40' },
    ParleyGatewayFull: { parley_clients: '95x40', parley_clients_limit: '100x40' },
    ParleyGatewayRefuses: { 'parley_handshakes_refused_total{reason="full"}': '0+1x40' },
    ParleyGatewayLags: slow('parley_loop_lag_seconds', 0.262144, 0.524288),
    ParleyGatewayBusy: { 'process_cpu_seconds_total{job="gateway"}': '0+57x40' },
    ParleyGatewayDrops: {
        parley_mailbox_dropped_total: '0x25 1x10',
        parley_bus_commands_dropped_total: '0x40',
        parley_nats_slow_consumer_total: '0x40',
    },
    ParleyStoresGone: { parley_store_receiving: '0x40' },
    ParleyStoreDown: { 'up{job="store-service"}': '0x40' },
    ParleyStoreOverloaded: { 'parley_store_requests_total{status="overloaded"}': '0+1x40' },
    ParleyStoreBusy: {
        'parley_store_lane_busy_seconds_total{kind="append"}': '0+114x40',
        'parley_store_lanes{kind="append"}': '2x40',
    },
    ParleyMessagesRefused: { 'parley_store_messages_total{outcome="refused"}': '0x25 1x10' },
    ParleyNatsUnreachable: { parley_nats_connected: '1x40', parley_store_nats_connected: '0x40' },
    ParleyNatsUnstable: { parley_nats_reconnects_total: '0+1x40' },
    ParleyPostgresUnreachable: { parley_store_postgres_connected_lanes: '0x40' },
    ParleyPostgresLanesMissing: {
        'parley_store_postgres_connected_lanes{instance="a"}': '3x40',
        'parley_store_lanes{instance="a",kind="append"}': '2x40',
        'parley_store_lanes{instance="a",kind="read"}': '2x40',
    },
    ParleyCommitsSlow: slow('parley_store_transaction_seconds', 0.524288, 1.048576),
    ParleyCommitsUncertain: { 'parley_store_transactions_total{result="unknown"}': '0+1x40' },
    ParleyVersionsMixed: { 'parley_build_info{version="1"}': '1x40', 'parley_build_info{version="2"}': '1x40' },
    ParleyRestarts: { 'process_start_time_seconds{job="gateway"}': '0x20 1x3 2x3 3x20' },
};

/** A histogram whose values are all between two bounds. */
function slow(name, above, below) {
    return {
        [`${name}_bucket{le="${above}"}`]: '0x40',
        [`${name}_bucket{le="${below}"}`]: '0+60x40',
        [`${name}_bucket{le="+Inf"}`]: '0+60x40',
    };
}

promise('every_alert_rings_at_its_trouble', { of: stack }, async () => {
    const alerts = await prometheus.alerts();
    assert.deepEqual(sorted(Object.keys(TROUBLE)), sorted(alerts.map((alert) => alert.name)));
    const tests = alerts.map(({ name, query }) => ({
        interval: '1m',
        name,
        input_series: Object.entries(TROUBLE[name]).map(([series, values]) => ({ series, values })),
        promql_expr_test: [
            { expr: `count(${query}) > bool 0`, eval_time: '30m', exp_samples: [{ labels: '{}', value: 1 }] },
        ],
    }));
    const file = stack.file('alerts.test.json');
    await writeFile(file, JSON.stringify({ evaluation_interval: '1m', tests }));
    await promtool(['test', 'rules', file]);
});

promise('every_alert_has_its_part_of_the_runbook', { of: stack }, async () => {
    const page = await operationsPage();
    const parts = [...page.matchAll(/^### (Parley\w+)$/gm)].map(([, name]) => name);
    const alerts = await prometheus.alerts();
    assert.deepEqual(sorted(parts), sorted(alerts.map((alert) => alert.name)));
    for (const { name, labels, annotations } of alerts) {
        assert.equal(annotations.runbook, `docs/operations.md#${name.toLowerCase()}`);
        assert.ok(annotations.summary.length > 20, name);
        const [, severity] = page.match(new RegExp(`^### ${name}\\n\\n\\*(\\w+)\\.\\*`, 'm')) ?? [];
        assert.equal(severity, labels.severity, `${name}: the page and the alert agree how bad it is`);
    }
    const anchors = new Set([...page.matchAll(/^#+ (.+)$/gm)].map(([, title]) => title.toLowerCase().replaceAll(' ', '-')));
    for (const [, anchor] of page.matchAll(/\]\(#([\w-]+)\)/g)) assert.ok(anchors.has(anchor), `#${anchor}`);
});

promise('every_metric_is_explained_and_every_one_that_is_named_exists', { of: stack }, async () => {
    const exposed = await allNames();
    const page = await operationsPage();
    for (const program of ['parley-gateway', 'parley-store']) {
        const [, table] = page.match(new RegExp(`table: ${program} .*? -->\\n(.*?)<!-- end`, 's'));
        const rows = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
        assert.deepEqual(rows, [...(await namesOf(program))], `make docs writes the table of ${program}`);
    }
    const [, guide] = page.match(/What to make of them:\n(.*?)\n### /s);
    const explained = metricsIn(guide);
    const { panels } = await dashboard();
    const used = metricsIn(panels.flatMap(queriesOf).join('\n'));
    const rung = metricsIn((await prometheus.alerts()).map((alert) => alert.query).join('\n'));
    const quoted = metricsIn([...page.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code).join('\n'));
    for (const name of [...explained, ...used, ...rung, ...quoted]) assert.ok(exposed.has(name), `${name} exists`);
    const plain = [...exposed].filter((name) => !explained.has(name) && !used.has(name));
    assert.deepEqual(plain, [], 'each is on the dashboard, or the page says what to make of it');
});

promise('every_log_event_is_explained_and_every_one_that_is_explained_exists', {}, async () => {
    const logged = new Set();
    for (const folder of ['base', 'gateway/src', 'store-service/src']) {
        const files = (await readdir(path.join(ROOT, folder), { recursive: true, withFileTypes: true }))
            .filter((entry) => entry.isFile() && entry.name.endsWith('.c'))
            .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
            .filter((file) => !file.includes('/tests/'));
        for (const file of files) {
            const source = await readFile(file, 'utf8');
            for (const [, event] of source.matchAll(/\bLOG\(\s*LOG_[A-Z]+,\s*([^,;]*?)\s*(?:,|\);)/g))
                for (const [, name] of event.matchAll(/"(\w+)"/g)) logged.add(name);
        }
    }
    const page = await operationsPage();
    const [, table] = page.match(/\n## Log events\n(.*?)\n## /s);
    const rows = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
    assert.deepEqual(rows, sorted(rows), 'in order');
    assert.deepEqual(rows, sorted(logged));
});

promise('the_dashboard_fits_its_frame', {}, async () => {
    const { panels, templating } = await dashboard();
    assert.equal(new Set(panels.map((panel) => panel.id)).size, panels.length, 'ids are unique');
    assert.equal(templating.list[0].name, 'datasource');
    const taken = new Set();
    for (const { title, type, description, datasource, gridPos, targets } of panels) {
        assert.ok(title, 'a title');
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
            for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
                assert.ok(x < 24 && !taken.has(`${x},${y}`), `${title} has its place to itself`);
                taken.add(`${x},${y}`);
            }
        }
        if (type === 'row') continue;
        assert.ok(description, `${title}: a description`);
        for (const source of [datasource, ...targets.map((target) => target.datasource)])
            assert.deepEqual(source, { type: 'prometheus', uid: '${datasource}' }, title);
    }
});

promise('a_message_can_be_followed_through_both_logs_by_its_client_id', { of: stack }, async (t) => {
    const anna = await someoneIn(t, stack.urls[0], { room: freshRoom() });
    const clientId = randomUUID();
    await anna.say('hello', clientId);
    const lines = () => [stack.gateways[0], stack.stores[0]]
        .flatMap((program) => program.child.lines.filter((line) => line.text.includes(clientId)))
        .map(({ text }) => text.match(/^event=(\w+) level=debug service=(\w+) /).slice(1).join(' '));
    // The acknowledgement and the logs come by ways of their own.
    await eventually(() => lines().length >= 3, 'three lines');
    assert.deepEqual(lines(), ['message_in gateway', 'message_stored gateway', 'message_stored store']);
});
