/**
 * The bill of materials that scripts/sbom writes names all that the programs are linked with and all that the gateway serves.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { BIN_DIR, ROOT } from './harness/parley.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'parley-sbom-'));
after(() => rmSync(folder, { recursive: true }));
const PROGRAMS = ['parley-gateway', 'parley-store'].map((name) => path.join(BIN_DIR, name));

test('the_bill_of_materials_names_what_programs_are_linked_with_and_what_is_served', () => {
    const file = path.join(folder, 'sbom.json');
    execFileSync(path.join(ROOT, 'scripts/sbom'), [file, ...PROGRAMS]);
    const { spdxVersion, packages, relationships, documentNamespace } = JSON.parse(readFileSync(file));
    assert.equal(spdxVersion, 'SPDX-2.3');
    assert.match(documentNamespace, /^https:\/\//);
    const ids = new Set(['SPDXRef-DOCUMENT', ...packages.map(({ SPDXID }) => SPDXID)]);
    assert.equal(ids.size, packages.length + 1, 'each once');
    for (const { SPDXID, name, versionInfo } of packages) assert.ok(/^SPDXRef-[A-Za-z0-9.-]+$/.test(SPDXID) && name && versionInfo);
    for (const { spdxElementId, relatedSpdxElement } of relationships) assert.ok(ids.has(spdxElementId) && ids.has(relatedSpdxElement));
    const named = new Map(packages.map((one) => [one.name, one]));
    for (const name of ['libssl3', 'libh2o-evloop0.13', 'libnats3.4', 'libpq5', 'libprotobuf-c1', 'libc6', 'socket.io-client', 'engine.io-parser'])
        assert.ok(named.has(name), `${name} among ${[...named.keys()]}`);
    for (const program of PROGRAMS) {
        const { checksums } = named.get(path.basename(program));
        assert.equal(checksums[0].checksumValue, createHash('sha256').update(readFileSync(program)).digest('hex'));
    }
    const { version } = JSON.parse(readFileSync(path.join(ROOT, 'node_modules/socket.io-client/package.json')));
    assert.equal(named.get('socket.io-client').versionInfo, version);
});

test('a_bill_of_what_is_not_there_is_none', () => {
    assert.throws(() => execFileSync(path.join(ROOT, 'scripts/sbom'), [path.join(folder, 'none.json'), '/no/program'], { stdio: 'pipe' }), /make build/);
});
