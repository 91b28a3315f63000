/**
 * What `nsc` would make: an operator, an account and a user of NATS, each a key pair with a JWT that the one above has signed.
 */
import { generateKeyPairSync, sign } from 'node:crypto';

const OPERATOR = 14, ACCOUNT = 0, USER = 20, SEED = 18;
const UNLIMITED = { subs: -1, data: -1, payload: -1 };

/** Base 32 of RFC 4648, not padded. */
function base32(bytes) {
    const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
    return bits.match(/.{1,5}/g).map((five) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[parseInt(five.padEnd(5, '0'), 2)]).join('');
}

/** CRC-16/XMODEM. */
function crc16(bytes) {
    let crc = 0;
    for (const byte of bytes) {
        crc ^= byte << 8;
        for (let i = 0; i < 8; i++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : crc << 1;
    }
    return crc;
}

const nkey = (...bytes) => {
    const crc = crc16(bytes);
    return base32([...bytes, crc & 0xff, crc >> 8]);
};

/** A key pair of NATS: its names begin with what it is for. */
class NatsKey {
    #privateKey;

    constructor(kind) {
        const { publicKey, privateKey } = generateKeyPairSync('ed25519');
        const raw = (key, part) => Buffer.from(key.export({ format: 'jwk' })[part], 'base64url');
        this.#privateKey = privateKey;
        this.name = nkey(kind << 3, ...raw(publicKey, 'x'));
        this.seed = nkey((SEED << 3) | (kind >> 2), (kind & 3) << 6, ...raw(privateKey, 'd'));
    }

    /** A JWT that says of the key @subject what @nats has. */
    certify(subject, nats) {
        const claims = { jti: subject.name, iat: Math.floor(Date.now() / 1000), iss: this.name, name: subject.name, sub: subject.name, nats: { ...nats, version: 2 } };
        const text = [{ typ: 'JWT', alg: 'ed25519-nkey' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
        return `${text}.${sign(null, Buffer.from(text), this.#privateKey).toString('base64url')}`;
    }
}

/**
 * @returns {{config: string, credentials: string}} what a nats-server's configuration says of the account, and the `.creds` of
 *     a user who may do all in it
 */
export function natsAccount() {
    const [operator, account, user] = [OPERATOR, ACCOUNT, USER].map((kind) => new NatsKey(kind));
    const limits = { ...UNLIMITED, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
    const config = [
        `operator: ${operator.certify(operator, { type: 'operator' })}`,
        'resolver: MEMORY',
        `resolver_preload: { ${account.name}: ${operator.certify(account, { type: 'account', limits })} }`,
    ].join('\n');
    const part = (what, text) => `-----BEGIN ${what}-----\n${text}\n------END ${what}------\n`;
    const credentials = part('NATS USER JWT', account.certify(user, { type: 'user', pub: {}, sub: {}, ...UNLIMITED })) + part('USER NKEY SEED', user.seed);
    return { config: `${config}\n`, credentials };
}
