/**
 * identity.js - who this person is, as far as this browser knows: a name, and which messages are theirs.
 *
 * Everything stays in localStorage. Where that is switched off (private windows, strict settings), it lasts as long as
 * the page.
 */

/** Messages of one room that are remembered as one's own; older ones look like anybody's after a reload. */
const OWN_MESSAGES_MAX = 200;

const NAME_KEY = 'parley.name';

/** @type {Map<string, string>} What could not be stored. */
const fallback = new Map();

/**
 * @param {string} key
 * @returns {string | null}
 */
function load(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return fallback.get(key) ?? null;
  }
}

/**
 * @param {string} key
 * @param {string} value
 */
function save(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    fallback.set(key, value);
  }
}

/** The name chosen last; empty if none was. */
export function loadName() {
  return load(NAME_KEY) ?? '';
}

/** @param {string} name */
export function saveName(name) {
  save(NAME_KEY, name);
}

/**
 * A new client id: a random UUID (RFC 9562, version 4).
 *
 * crypto.randomUUID exists in secure contexts alone, which a page served over plain HTTP to another machine of the
 * local network is not; crypto.getRandomValues exists everywhere.
 *
 * @returns {string}
 */
export function newClientId() {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID();

  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/**
 * Remembers which messages of one room were written in this browser, by their offsets ("<epoch>-<id>"). Not by client
 * id, which everyone in the room can read and use again; nor by name, which two people may share.
 */
export class OwnMessages {
  /** @param {string} room */
  constructor(room) {
    this.#key = `parley.own.${room}`;
    this.#offsets = parseStrings(load(this.#key));
  }

  /** @type {string} */
  #key;
  /** @type {string[]} Oldest first. */
  #offsets;

  /** @param {string} offset */
  has(offset) {
    return this.#offsets.includes(offset);
  }

  /** @param {string} offset */
  add(offset) {
    if (this.has(offset)) return;
    this.#offsets = [...this.#offsets, offset].slice(-OWN_MESSAGES_MAX);
    save(this.#key, JSON.stringify(this.#offsets));
  }
}

/**
 * @param {string | null} json
 * @returns {string[]} Empty if @json is not an array.
 */
function parseStrings(json) {
  try {
    const value = JSON.parse(json ?? '[]');
    return Array.isArray(value) ? value.map(String) : [];
  } catch {
    return [];
  }
}
