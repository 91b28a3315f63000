/**
 * storage.js - what this browser keeps for its user, in localStorage: name, rooms, settings, half-written texts. Where
 * that is switched off (private windows, strict settings), all of it lasts as long as the page.
 *
 * Other tabs of the same browser see every change: they are told by the 'storage' event, which watch() passes on.
 */

const PREFIX = 'parley.';

/** @type {Map<string, string>} What could not be stored. */
const fallback = new Map();

/**
 * @param {string} key
 * @returns {string | null}
 */
export function load(key) {
  try {
    return fallback.get(key) ?? localStorage.getItem(PREFIX + key);
  } catch {
    return null;
  }
}

/**
 * @param {string} key
 * @param {string} value empty: nothing is kept
 */
export function save(key, value) {
  try {
    if (value === '') localStorage.removeItem(PREFIX + key);
    else localStorage.setItem(PREFIX + key, value);
    fallback.delete(key);
  } catch {
    fallback.set(key, value);
  }
}

/**
 * @param {string} key
 * @returns {unknown} null where there is nothing, or no JSON
 */
export function loadJson(key) {
  try {
    return JSON.parse(load(key) ?? 'null');
  } catch {
    return null;
  }
}

/**
 * @param {string} key
 * @param {unknown} value
 */
export function saveJson(key, value) {
  save(key, JSON.stringify(value));
}

/**
 * Has @onChange called with the keys that other tabs change.
 *
 * @param {(key: string) => void} onChange
 */
export function watch(onChange) {
  addEventListener('storage', (event) => {
    if (event.key?.startsWith(PREFIX)) onChange(event.key.slice(PREFIX.length));
  });
}

/** Messages of one room that are remembered as one's own; older ones look like anybody's. */
const OWN_MESSAGES_MAX = 500;

/** @param {string} room */
export function ownKey(room) {
  return `own.${room}`;
}

/**
 * Remembers which messages of one room were written in this browser, by their client ids together with the ids that the
 * room gave them. Not by client id alone, which everyone in the room can read and use again; nor by name, which two
 * people may share.
 */
export class OwnMessages {
  /** @param {string} room */
  constructor(room) {
    this.#key = ownKey(room);
    this.reload();
  }

  /** @type {string} */
  #key;
  /** @type {Set<string>} Oldest first. */
  #entries = new Set();

  /** Another tab has written something. */
  reload() {
    const stored = loadJson(this.#key);
    this.#entries = new Set(Array.isArray(stored) ? stored.map(String) : []);
  }

  /**
   * @param {number} id
   * @param {string} clientId
   */
  has(id, clientId) {
    return this.#entries.has(`${id}:${clientId}`);
  }

  /**
   * @param {number} id
   * @param {string} clientId
   */
  add(id, clientId) {
    this.#entries.add(`${id}:${clientId}`);
    if (this.#entries.size > OWN_MESSAGES_MAX) {
      for (const oldest of this.#entries) {
        this.#entries.delete(oldest);
        break;
      }
    }
    saveJson(this.#key, [...this.#entries]);
  }

  forget() {
    this.#entries.clear();
    save(this.#key, '');
  }
}
