/**
 * draft-store.js - keeps what was written and is not stored by its room yet, in IndexedDB, so that it outlives the page.
 *
 * The database can go at any time, with all that is in it: when people clear what a site has stored, for instance. Then
 * another one is opened, and where that fails nothing is kept.
 *
 * A draft belongs to the tab that it was written in, which sends it. When that tab is gone, the next one to look takes its
 * drafts over. Where IndexedDB is switched off nothing is kept, and `isLasting` is false.
 */

const DATABASE = 'parley';
const STORE = 'drafts';
const TAB_KEY = 'parley.tab';

/**
 * @typedef {object} StoredDraft
 * @property {string} clientId
 * @property {string} room
 * @property {string} author     the name it was written under
 * @property {string} content
 * @property {number} order      ascending in the order of writing
 * @property {string} tab        who sends it
 * @property {string} reason     why it failed; empty unless it did
 * @property {boolean} hopeless  the same text would fail again
 */

export class DraftStore {
  /** @param {string} tab */
  constructor(tab) {
    this.#tab = tab;
  }

  /** @returns {Promise<DraftStore>} */
  static async open() {
    const tab = tabId();
    holdLock(lockName(tab));
    const store = new DraftStore(tab);
    await store.#openDatabase();
    return store;
  }

  /** @type {IDBDatabase | null} */
  #database = null;
  /** @type {string} */
  #tab;
  #lastOrder = 0;
  #hasFailed = false;
  #isOpening = false;
  /** What this tab has to keep: of it a new database is made. @type {Map<string, StoredDraft>} */
  #kept = new Map();

  /** Whether drafts outlive the page. */
  get isLasting() {
    return this.#database !== null && !this.#hasFailed;
  }

  /** The place of a draft that is written now: behind all others. */
  nextOrder() {
    this.#lastOrder = Math.max(this.#lastOrder + 1, Date.now() * 1000);
    return this.#lastOrder;
  }

  /** @param {Omit<StoredDraft, 'tab'>} draft replaces an earlier one with the same client id */
  put(draft) {
    const stored = { ...draft, tab: this.#tab };
    this.#kept.set(draft.clientId, stored);
    const request = this.#store('readwrite')?.put(stored);
    if (request) request.onerror = () => (this.#hasFailed = true);
  }

  /** @param {string} clientId */
  remove(clientId) {
    this.#kept.delete(clientId);
    this.#store('readwrite')?.delete(clientId);
  }

  /**
   * Takes over the drafts of this tab's former page and of tabs that are gone.
   *
   * @param {(draft: StoredDraft) => boolean} isKnown those are not returned
   * @returns {Promise<StoredDraft[]>} in the order of writing
   */
  async adopt(isKnown) {
    const living = await livingTabs();
    const store = this.#store('readonly');
    /** @type {StoredDraft[]} */
    const drafts = store ? await settled(store.getAll()).catch(() => []) : [];
    /* A clock that was set back does not put what is written now in front of what is there. */
    for (const { order } of drafts) this.#lastOrder = Math.max(this.#lastOrder, order);
    const orphans = drafts.filter((draft) => (draft.tab === this.#tab || !living.has(draft.tab)) && !isKnown(draft));
    orphans.sort((a, b) => a.order - b.order);
    for (const draft of orphans) this.put(draft);
    return orphans;
  }

  /** Opens the database, and puts into it what is to be kept. Where that fails, the next draft tries again. */
  async #openDatabase() {
    if (this.#isOpening) return;
    this.#isOpening = true;
    try {
      const opening = indexedDB.open(DATABASE, 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: 'clientId' });
      const database = await settled(opening);
      database.onclose = () => this.#lose();
      this.#database = database;
      for (const draft of this.#kept.values()) this.put(draft);
    } catch {
      this.#database = null;
    } finally {
      this.#isOpening = false;
    }
  }

  /** The database is closed; that may be noticed more than once. */
  #lose() {
    this.#database = null;
    void this.#openDatabase();
  }

  /** @param {IDBTransactionMode} mode */
  #store(mode) {
    if (this.#database === null) void this.#openDatabase();
    try {
      return this.#database?.transaction(STORE, mode).objectStore(STORE);
    } catch {
      this.#lose();
      return undefined;
    }
  }
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** The tab keeps its name when its page is loaded again. */
function tabId() {
  const fresh = Math.random().toString(36).slice(2);
  try {
    const known = sessionStorage.getItem(TAB_KEY) ?? fresh;
    sessionStorage.setItem(TAB_KEY, known);
    return known;
  } catch {
    return fresh;
  }
}

/** @param {string} tab */
function lockName(tab) {
  return `parley.tab.${tab}`;
}

/**
 * Holds a lock as long as this page lives, or waits for it until then.
 *
 * @param {string} name
 * @param {() => void} [onHeld]
 */
export function holdLock(name, onHeld) {
  navigator.locks?.request(name, () => {
    onHeld?.();
    return new Promise(() => {});
  });
}

/**
 * The tabs of this browser that are open. Locks exist in secure contexts alone; elsewhere none seems to live, and two
 * tabs may send the same draft, which the room stores once.
 */
async function livingTabs() {
  const held = (await navigator.locks?.query())?.held ?? [];
  const prefix = lockName('');
  return new Set(held.map(({ name }) => name ?? '').filter((name) => name.startsWith(prefix))
    .map((name) => name.slice(prefix.length)));
}
