/**
 * Whoever makes tokens: keys, and JSON Web Tokens signed with them (RFC 7515, 7518).
 */
import { createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';

const encode = (value) => Buffer.from(value).toString('base64url');
const encodeJson = (value) => encode(JSON.stringify(value));

/** Now and then, as tokens have it: whole seconds since 1970. */
export const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;

const SIGNERS = {
    HS256: (key, input) => createHmac('sha256', key.secret).update(input).digest(),
    RS256: (key, input) => sign('sha256', input, key.privateKey),
    ES256: (key, input) => sign('sha256', input, { key: key.privateKey, dsaEncoding: 'ieee-p1363' }),
    EdDSA: (key, input) => sign(null, input, key.privateKey),
};

/** One key of an algorithm, with an id. */
export class TokenKey {
    constructor(algorithm, id) {
        this.algorithm = algorithm;
        this.id = id;
        if (algorithm === 'HS256') this.secret = randomBytes(32);
        else Object.assign(this, TokenKey.#pair(algorithm));
    }

    static #pair(algorithm) {
        if (algorithm === 'RS256') return generateKeyPairSync('rsa', { modulusLength: 2048 });
        if (algorithm === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' });
        return generateKeyPairSync('ed25519');
    }

    /** The public key (or the secret) as a JWK. */
    get jwk() {
        const key = this.secret ? { kty: 'oct', k: encode(this.secret) } : this.publicKey.export({ format: 'jwk' });
        return { ...key, alg: this.algorithm, use: 'sig', ...(this.id && { kid: this.id }) };
    }

    get pem() {
        return this.publicKey.export({ format: 'pem', type: 'spki' });
    }

    /** A token with these claims; it expires in ten minutes, unless they say so. */
    token(claims, header = {}) {
        const head = { typ: 'JWT', alg: this.algorithm, ...(this.id && { kid: this.id }), ...header };
        const input = `${encodeJson(head)}.${encodeJson({ exp: inSeconds(600), iat: inSeconds(0), ...claims })}`;
        return `${input}.${SIGNERS[this.algorithm](this, Buffer.from(input)).toString('base64url')}`;
    }
}

/** A JWK Set of keys. */
export const jwkSet = (...keys) => JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });

/** A token of parts that need not fit: any header, any claims, any signature. */
export const forged = (header, claims, signature = '') => `${encodeJson(header)}.${encodeJson(claims)}.${signature}`;
