/**
 * Certificates of the tests' own, made by openssl.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';

const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });

/** A certificate authority, and what it signs, in a folder. */
export class Authority {
    constructor(folder, name = 'ca') {
        this.folder = folder;
        this.name = name;
        this.certFile = path.join(folder, `${name}.pem`);
        this.keyFile = path.join(folder, `${name}.key`);
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${name}`,
            '-keyout', this.keyFile, '-out', this.certFile);
    }

    get certificate() {
        return readFileSync(this.certFile);
    }

    /**
     * A certificate for the loopback, signed by this authority.
     *
     * @returns {{certFile: string, keyFile: string}} PEM
     */
    issue(name, { subject = name, days = 1 } = {}) {
        const at = (ending) => path.join(this.folder, `${name}.${ending}`);
        openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${subject}`,
            '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', at('key'), '-out', at('csr'));
        openssl('x509', '-req', '-in', at('csr'), '-CA', this.certFile, '-CAkey', this.keyFile, '-CAcreateserial', '-copy_extensions', 'copy',
            '-days', `${days}`, '-out', at('pem'));
        return { certFile: at('pem'), keyFile: at('key') };
    }
}
