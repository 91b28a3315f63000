/**
 * Reads the Prometheus text exposition format 0.0.4, strictly: whatever a scraper might stumble over fails.
 */
import assert from 'node:assert/strict';

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\[\\\\"n])*"';
const VALUE = '[+-]?(?:\\d+(?:\\.\\d*)?(?:[eE][+-]?\\d+)?|\\.\\d+|Inf|NaN)';
const SAMPLE = new RegExp(`^(${NAME})(?:\\{((?:${LABEL})(?:,${LABEL})*)?\\})? (${VALUE})$`);
const HELP = new RegExp(`^# HELP (${NAME}) \\S.*$`);
const TYPE = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram)$`);

/**
 * @param {string} text
 * @returns {Map<string, number>} values by name with labels, as written
 */
export function parseMetrics(text) {
    assert.ok(text.endsWith('\n'), 'the last line ends');
    const samples = new Map();
    const types = new Map();
    const helped = new Set();
    let family = null;
    for (const line of text.slice(0, -1).split('\n')) {
        if (line.startsWith('# HELP ')) {
            const [, name] = line.match(HELP) ?? assert.fail(`help: ${line}`);
            assert.ok(!helped.has(name), `told once: ${line}`);
            helped.add(name);
        } else if (line.startsWith('# TYPE ')) {
            const [, name, type] = line.match(TYPE) ?? assert.fail(`type: ${line}`);
            assert.ok(!types.has(name), `told once: ${line}`);
            assert.ok(helped.has(name), `helped before: ${line}`);
            types.set(name, type);
            family = name;
        } else {
            const [, name, labels, value] = line.match(SAMPLE) ?? assert.fail(`sample: ${line}`);
            const suffix = name.slice(family?.length);
            const isOfFamily = name === family || (types.get(family) === 'histogram' && /^_(bucket|sum|count)$/.test(suffix));
            assert.ok(name.startsWith(family) && isOfFamily, `in its family: ${line}`);
            if (types.get(family) === 'counter') assert.match(name, /_total$/, `counters end in _total: ${line}`);
            const key = labels ? `${name}{${labels}}` : name;
            assert.ok(!samples.has(key), `one sample: ${line}`);
            samples.set(key, Number(value.replace('Inf', 'Infinity')));
        }
    }
    for (const [name, type] of types) if (type === 'histogram') checkHistogram(name, samples);
    return samples;
}

/** Buckets grow, and the last one, +Inf, is the count. */
function checkHistogram(name, samples) {
    const buckets = [...samples].filter(([key]) => key.startsWith(`${name}_bucket{`));
    const counts = buckets.map(([, count]) => count);
    assert.deepEqual(counts, [...counts].sort((a, b) => a - b), `${name}: cumulative`);
    assert.match(buckets.at(-1)[0], /le="\+Inf"/);
    assert.equal(counts.at(-1), samples.get(`${name}_count`), `${name}: +Inf is the count`);
    assert.ok(samples.has(`${name}_sum`), `${name} has a sum`);
}
