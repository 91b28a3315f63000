/**
 * Writes what scripts/manifests.mjs judges by: the schemas of the kinds that deploy/k8s uses, as one version of Kubernetes
 * publishes them. For when another version, or another kind, is to be added; needs Go and its module proxy.
 *
 *     node scripts/kubernetes-schemas.mjs 1.25.16      writes deploy/k8s/schemas/1.25.json
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const KINDS = [
    'apps.v1.Deployment',
    'apps.v1.StatefulSet',
    'autoscaling.v2.HorizontalPodAutoscaler',
    'core.v1.ConfigMap',
    'core.v1.Namespace',
    'core.v1.Secret',
    'core.v1.Service',
    'networking.v1.Ingress',
    'networking.v1.NetworkPolicy',
    'policy.v1.PodDisruptionBudget',
];
const FOLDER = 'deploy/k8s/schemas';
const REF = '#/definitions/';

/** What the API server takes for the types that have a syntax of their own. */
const OWN_SYNTAX = {
    'io.k8s.apimachinery.pkg.util.intstr.IntOrString': { type: ['integer', 'string'] },
    'io.k8s.apimachinery.pkg.api.resource.Quantity': { type: ['number', 'string'] },
};

const version = process.argv[2] ?? '';
if (!/^1\.\d+\.\d+$/.test(version)) {
    console.error('usage: node scripts/kubernetes-schemas.mjs VERSION      as in 1.25.16');
    process.exit(1);
}

const module = JSON.parse(execFileSync('go', ['mod', 'download', '-json', `k8s.io/kubernetes@v${version}`]));
const published = JSON.parse(readFileSync(path.join(module.Dir, 'api/openapi-spec/swagger.json'))).definitions;

const used = new Map();
KINDS.forEach((kind) => use(`io.k8s.api.${kind}`));
const definitions = Object.fromEntries([...used].sort(([a], [b]) => (a < b ? -1 : 1)));

mkdirSync(FOLDER, { recursive: true });
const file = `${FOLDER}/${version.split('.').slice(0, 2).join('.')}.json`;
const comment = `"$comment": "Kubernetes ${version}, written by scripts/kubernetes-schemas.mjs"`;
const lines = Object.entries(definitions).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`);
writeFileSync(file, `{${comment}, "definitions": {\n${lines.join(',\n')}\n}}\n`);
console.log(`${file}: ${used.size} definitions`);

/** Takes over a definition and all that it refers to. */
function use(name) {
    if (used.has(name)) return;
    used.set(name, null); // definitions may refer to themselves
    used.set(name, OWN_SYNTAX[name] ?? strict(published[name]));
}

/** The same without prose, and closed to properties that are not listed. */
function strict({ $ref, type, required, properties, items, additionalProperties, ...rest }) {
    if ($ref) {
        use($ref.slice(REF.length));
        return { $ref };
    }
    const each = (map) => Object.fromEntries(Object.entries(map).map(([key, value]) => [key, strict(value)]));
    return {
        type,
        required,
        properties: properties && each(properties),
        items: items && strict(items),
        additionalProperties: additionalProperties ? strict(additionalProperties) : properties ? false : undefined,
        'x-kubernetes-group-version-kind': rest['x-kubernetes-group-version-kind'],
    };
}
