/**
 * Renders what is in deploy/k8s, and what tests/k8s makes of it, and has it judged. Then breaks a rendering in ways
 * that people do, and sees to it that each is found. Offline; scripts/setup check brings kustomize.
 *
 *     node scripts/check-manifests.mjs
 */
import { execFileSync } from 'node:child_process';
import { faultsOf } from './manifests.mjs';

/** That deploy/k8s/README.md has the operator make. */
const SECRETS = ['parley-database', 'parley-session-keys'];

const MISTAKES = {
    'a misspelt field': [/readinessProbe:/, 'readynessProbe:'],
    'a number in quotes': [/containerPort: 3000/, 'containerPort: "3000"'],
    'a field that has to be there': [/serviceName: nats-routes\n/, ''],
    'a version that is gone': ['apiVersion: policy/v1\n', 'apiVersion: policy/v1beta1\n'],
    'wrong indentation': [/\n {2}selector:/, '\n   selector:'],
    'a pod that may be root': [/runAsNonRoot: true/, 'runAsNonRoot: false'],
    'a container that may write': [/readOnlyRootFilesystem: true/, 'readOnlyRootFilesystem: false'],
    'a Secret that is not there': [/secretName: parley-session-keys/, 'secretName: session-keys'],
    'a Service without pods': [/( {2}selector:\n {4}app.kubernetes.io\/name: )gateway/, '$1gate'],
    'a probe of no port': [/port: admin/, 'port: administration'],
    'a policy for no port': [/- port: http\n/, '- port: https\n'],
    'an autoscaler of nothing': [/(scaleTargetRef:\n.*\n.*\n {4}name: )gateway/, '$1gate'],
};

let isSound = true;

function complain(where, faults) {
    isSound &&= faults.length === 0;
    for (const fault of faults) console.log(`${where}: ${fault}`);
}

function render(folder) {
    return execFileSync('.cache/bin/kustomize', ['build', folder], { encoding: 'utf8' });
}

const production = render('deploy/k8s/overlays/production');
complain('production', faultsOf(production, SECRETS));
complain('production', /^kind: Secret$/m.test(production) ? ['there is a Secret in a file'] : []);
complain('tests/k8s', faultsOf(render('tests/k8s')));
complain('local', faultsOf(render('deploy/k8s/overlays/local')));

for (const [mistake, [pattern, replacement]] of Object.entries(MISTAKES)) {
    const broken = production.replace(pattern, replacement);
    if (broken === production) complain(mistake, ['there is nothing in overlays/production to break like that']);
    else if (faultsOf(broken, SECRETS).length === 0) complain(mistake, ['scripts/manifests.mjs does not find it']);
}
process.exitCode = isSound ? 0 : 1;
