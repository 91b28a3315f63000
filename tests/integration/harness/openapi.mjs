/**
 * Holds an answer against an OpenAPI document: as much of JSON Schema as ours says.
 */
import assert from 'node:assert/strict';

const follow = (document, node) =>
    node?.$ref ? node.$ref.split('/').slice(1).reduce((at, name) => at[name], document) : node;

/** The path of the document that a URL's path is one of. */
function pathOf(document, url) {
    const [path] = url.split('?');
    const fits = (pattern) => new RegExp(`^${pattern.replace(/\{[^}]+\}/g, '[^/]+')}$`).test(path);
    return Object.keys(document.paths).find(fits);
}

const TYPES = {
    string: (value) => typeof value === 'string',
    boolean: (value) => typeof value === 'boolean',
    integer: Number.isInteger,
    number: Number.isFinite,
    array: Array.isArray,
    object: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
};

function check(document, given, value, at) {
    const schema = follow(document, given);
    assert.ok(TYPES[schema.type](value), `${at} is a ${schema.type}: ${JSON.stringify(value)}`);
    if (schema.pattern) assert.match(value, new RegExp(schema.pattern), at);
    if (schema.enum) assert.ok(schema.enum.includes(value), `${at} is one of ${schema.enum}: ${value}`);
    if (schema.minimum !== undefined) assert.ok(value >= schema.minimum, `${at} is ${schema.minimum} at least`);
    if (schema.type === 'array') value.forEach((element, i) => check(document, schema.items, element, `${at}[${i}]`));
    if (schema.type !== 'object') return;
    for (const name of schema.required ?? []) assert.ok(name in value, `${at} has ${name}`);
    for (const [name, member] of Object.entries(value)) {
        assert.ok(schema.properties[name], `${at}: ${name} is in the document`);
        check(document, schema.properties[name], member, `${at}.${name}`);
    }
}

/** Asserts that the document has an answer like this to such a request; or, where it has no such request, that it is refused. */
export function checkAgainst(document, method, url, status, json) {
    const path = pathOf(document, url);
    const operation = path && document.paths[path][method.toLowerCase()];
    if (!operation) {
        const expected = path ? 405 : 404;
        assert.ok([expected, 400, 401].includes(status), `${method} ${url} is not in the document, and gets ${status}`);
        return check(document, document.components.schemas.Error, json, `${method} ${url}`);
    }
    // That there is no API at all is nothing that the API's document is about.
    if (status === 404 && /API_KEY/.test(json.message)) return undefined;
    const answer = follow(document, operation.responses[status]);
    assert.ok(answer, `${method} ${path} may be answered with ${status}: ${JSON.stringify(json)}`);
    return check(document, answer.content['application/json'].schema, json, `${method} ${path} ${status}`);
}
