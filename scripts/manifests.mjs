/**
 * Judges rendered Kubernetes manifests, offline: by the schemas of the oldest and the newest Kubernetes in
 * deploy/k8s/schemas, by the "restricted" Pod Security Standard, and by whether what refers to something finds it.
 */
import Ajv from 'ajv';
import { readFileSync, readdirSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';

const SCHEMAS = 'deploy/k8s/schemas';
const VOLUMES_OF_RESTRICTED =
    'configMap csi downwardAPI emptyDir ephemeral persistentVolumeClaim projected secret'.split(' ');
const PROBES = ['startupProbe', 'livenessProbe', 'readinessProbe'];

/**
 * What is wrong with manifests.
 *
 * @param {string} text YAML, as kustomize renders it
 * @param {string[]} [secretsThere] names of Secrets that the cluster has already
 * @returns {string[]} a sentence for each fault
 */
export function faultsOf(text, secretsThere = []) {
    const documents = parseAllDocuments(text);
    const syntaxErrors = documents.flatMap((document) => document.errors ?? []);
    if (syntaxErrors.length > 0) return syntaxErrors.map((error) => error.message);
    const objects = documents.map((document) => document.toJS()).filter(Boolean);
    if (objects.length === 0) return ['there is nothing to judge'];
    const faults = versions().flatMap((version) => version.faultsOf(objects));
    return faults.length > 0 ? faults : new Judgement(objects, secretsThere).faults();
}

let loadedVersions = null;

function versions() {
    loadedVersions ??= readdirSync(SCHEMAS).map((file) => new Version(file));
    return loadedVersions;
}

function told(object, sentence) {
    return `${object.kind} ${object.metadata?.name}: ${sentence}`;
}

/** A version of Kubernetes, and what it takes. */
class Version {
    #name;
    #ajv = new Ajv({ allErrors: true, strict: false });
    /** Names of definitions by "apps/v1 Deployment". */
    #kinds = new Map();

    constructor(file) {
        const schema = JSON.parse(readFileSync(`${SCHEMAS}/${file}`));
        this.#name = `Kubernetes ${file.replace('.json', '')}`;
        this.#ajv.addSchema(schema, 'kubernetes');
        for (const [name, definition] of Object.entries(schema.definitions)) {
            for (const { group, version, kind } of definition['x-kubernetes-group-version-kind'] ?? [])
                this.#kinds.set(`${group ? `${group}/` : ''}${version} ${kind}`, name);
        }
    }

    faultsOf(objects) {
        return objects.flatMap((object) => {
            const kind = `${object.apiVersion} ${object.kind}`;
            if (!this.#kinds.has(kind))
                return told(object, `${this.#name} has no ${kind}, or scripts/kubernetes-schemas.mjs lacks it`);
            const isValid = this.#ajv.getSchema(`kubernetes#/definitions/${this.#kinds.get(kind)}`);
            if (isValid(object)) return [];
            return isValid.errors.map(({ instancePath, message, params }) =>
                told(object, `${instancePath || '/'} ${message} ${params.additionalProperty ?? ''} (${this.#name})`),
            );
        });
    }
}

/** Of objects that are valid each for itself. */
class Judgement {
    #objects;
    #secretsThere;
    /** What makes pods, with the labels and the spec of these. */
    #pods;
    #faults = [];

    constructor(objects, secretsThere) {
        this.#objects = objects;
        this.#secretsThere = secretsThere;
        this.#pods = objects
            .filter((object) => object.spec?.template)
            .map((workload) => ({
                workload,
                labels: workload.spec.template.metadata?.labels ?? {},
                spec: workload.spec.template.spec,
            }));
    }

    faults() {
        this.#checkNamespace();
        this.#pods.forEach((pod) => this.#checkRestricted(pod));
        this.#pods.forEach((pod) => this.#checkReferences(pod));
        this.#objects.forEach((object) => this.#checkSelectors(object));
        this.#objects.forEach((object) => this.#checkTargets(object));
        return this.#faults;
    }

    #demand(condition, object, sentence) {
        if (!condition) this.#faults.push(told(object, sentence));
    }

    #find(kind, name) {
        return this.#objects.find((object) => object.kind === kind && object.metadata.name === name);
    }

    /** Everything is in one namespace, whose labels have the restricted standard enforced. */
    #checkNamespace() {
        const namespace = this.#objects.find((object) => object.kind === 'Namespace') ?? { kind: 'Namespace' };
        const standard = namespace.metadata?.labels?.['pod-security.kubernetes.io/enforce'];
        this.#demand(standard === 'restricted', namespace, 'does not enforce the restricted Pod Security Standard');
        for (const object of this.#objects.filter((other) => other !== namespace))
            this.#demand(object.metadata.namespace === namespace.metadata?.name, object, 'is in another namespace');
    }

    /** https://kubernetes.io/docs/concepts/security/pod-security-standards/, and some good manners beyond it. */
    #checkRestricted({ workload, spec }) {
        const demand = (condition, sentence) => this.#demand(condition, workload, sentence);
        const pod = spec.securityContext ?? {};
        for (const key of ['hostNetwork', 'hostPID', 'hostIPC']) demand(!spec[key], `${key} is not restricted`);
        demand(spec.automountServiceAccountToken === false, 'has a token for the API server that it does not need');
        for (const volume of spec.volumes ?? []) {
            const type = Object.keys(volume).find((key) => key !== 'name');
            demand(VOLUMES_OF_RESTRICTED.includes(type), `volume ${volume.name} of type ${type} is not restricted`);
        }
        for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
            const own = container.securityContext ?? {};
            const seccomp = (own.seccompProfile ?? pod.seccompProfile)?.type;
            const must = (condition, sentence) => demand(condition, `container ${container.name} ${sentence}`);
            must(own.allowPrivilegeEscalation === false, 'may escalate its privileges');
            must(!own.privileged, 'is privileged');
            must(own.capabilities?.drop?.includes('ALL') && !own.capabilities.add, 'has capabilities');
            must(own.runAsNonRoot ?? pod.runAsNonRoot, 'may run as root');
            must((own.runAsUser ?? pod.runAsUser) !== 0, 'runs as root');
            must(['RuntimeDefault', 'Localhost'].includes(seccomp), 'has no seccomp profile');
            must((container.ports ?? []).every((port) => !port.hostPort), 'takes a port of the node');
            must(own.readOnlyRootFilesystem, 'may write to its root');
            for (const { cpu, memory } of [container.resources?.requests ?? {}, container.resources?.limits ?? {}])
                must(cpu && memory, 'does not request and limit CPU and memory');
            for (const probe of PROBES) must(container[probe], `has no ${probe}`);
        }
    }

    /** Secrets, ConfigMaps, volumes and ports that a pod names are there. */
    #checkReferences({ workload, spec }) {
        const demand = (condition, sentence) => this.#demand(condition, workload, sentence);
        const needs = (kind, name, items = []) => {
            if (kind === 'Secret' && this.#secretsThere.includes(name)) return;
            const data = this.#find(kind, name)?.data;
            demand(data, `there is no ${kind} ${name}`);
            for (const { key } of items) demand(data && key in data, `there is no ${key} in ${kind} ${name}`);
        };
        for (const { secret, configMap } of spec.volumes ?? []) {
            if (secret) needs('Secret', secret.secretName, secret.items);
            if (configMap) needs('ConfigMap', configMap.name, configMap.items);
        }
        const claims = (workload.spec.volumeClaimTemplates ?? []).map((claim) => claim.metadata.name);
        const volumes = [...(spec.volumes ?? []).map((volume) => volume.name), ...claims];
        for (const container of spec.containers) {
            for (const { configMapRef, secretRef } of container.envFrom ?? []) {
                if (configMapRef) needs('ConfigMap', configMapRef.name);
                if (secretRef) needs('Secret', secretRef.name);
            }
            for (const { name } of container.volumeMounts ?? [])
                demand(volumes.includes(name), `there is no volume ${name}`);
            for (const { httpGet } of PROBES.map((probe) => container[probe] ?? {}))
                demand(!httpGet || hasPort(spec, httpGet.port), `there is no port ${httpGet?.port}`);
        }
    }

    /** What selects pods selects some. */
    #checkSelectors(object) {
        const { kind, spec } = object;
        const peers = () => rulesOf(spec).flatMap((rule) => rule.from ?? rule.to ?? []);
        const selectors = {
            Deployment: () => [spec.selector],
            StatefulSet: () => [spec.selector],
            PodDisruptionBudget: () => [spec.selector],
            Service: () => [{ matchLabels: spec.selector }],
            NetworkPolicy: () => [spec.podSelector, ...peers().flatMap((peer) => peer.podSelector ?? [])],
        };
        for (const selector of selectors[kind]?.() ?? []) {
            const isMet = this.#pods.some((pod) => selects(selector, pod.labels));
            this.#demand(isMet, object, `${JSON.stringify(selector)} selects no pod`);
        }
        const own = this.#pods.find((pod) => pod.workload === object);
        this.#demand(!own || selects(spec.selector, own.labels), object, 'does not select its own pods');
    }

    /** What Services, policies, Ingresses, autoscalers and StatefulSets lead to or rest on is there. */
    #checkTargets(object) {
        const { kind, spec } = object;
        const demand = (condition, sentence) => this.#demand(condition, object, sentence);
        if (kind === 'Service') {
            const selected = this.#pods.filter((pod) => selects({ matchLabels: spec.selector }, pod.labels));
            for (const { targetPort } of spec.ports)
                demand(selected.every((pod) => hasPort(pod.spec, targetPort)), `its pods have no port ${targetPort}`);
        } else if (kind === 'NetworkPolicy') {
            for (const { port } of rulesOf(spec).flatMap((rule) => rule.ports ?? [])) {
                const isThere = typeof port === 'number' || this.#pods.some((pod) => hasPort(pod.spec, port));
                demand(isThere, `no pod has a port ${port}`);
            }
        } else if (kind === 'Ingress') {
            for (const { backend } of spec.rules.flatMap((rule) => rule.http.paths)) {
                const { name, port } = backend.service;
                const isThere = this.#find('Service', name)?.spec.ports.some((own) => own.name === port.name);
                demand(isThere, `there is no Service ${name} with a port ${port.name}`);
            }
        } else if (kind === 'HorizontalPodAutoscaler') {
            const target = this.#find(spec.scaleTargetRef.kind, spec.scaleTargetRef.name);
            demand(target, `there is no ${spec.scaleTargetRef.kind} ${spec.scaleTargetRef.name}`);
            demand(target?.spec.replicas === undefined, 'its target says how many replicas there are, too');
        } else if (kind === 'StatefulSet') {
            demand(this.#find('Service', spec.serviceName), `there is no Service ${spec.serviceName}`);
        }
    }
}

function rulesOf({ ingress = [], egress = [] }) {
    return [...ingress, ...egress];
}

function hasPort({ containers }, port) {
    const ports = containers.flatMap((container) => container.ports ?? []);
    return ports.some((own) => own.name === port || own.containerPort === port);
}

function selects({ matchLabels = {}, matchExpressions = [] }, labels) {
    return (
        Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
        matchExpressions.every(({ key, operator, values }) => operator === 'In' && values.includes(labels[key]))
    );
}
