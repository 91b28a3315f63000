/**
 * draft-store.js - keeps what was written and is not stored by its room yet, in IndexedDB, so that it outlives the page.
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
  /**
   * @param {IDBDatabase | null} database
   * @param {string} tab
   */
  constructor(database, tab) {
    this.#database = database;
    this.#tab = tab;
  }

  /** @returns {Promise<DraftStore>} */
  static async open() {
    const tab = tabId();
    holdLock(lockName(tab));
    try {
      const opening = indexedDB.open(DATABASE, 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: 'clientId' });
      return new DraftStore(await settled(opening), tab);
    } catch {
      return new DraftStore(null, tab);
    }
  }

  /** @type {IDBDatabase | null} */
  #database;
  /** @type {string} */
  #tab;
  #lastOrder = 0;

  /** Whether drafts outlive the page. */
  get isLasting() {
    return this.#database !== null;
  }

  /** The place of a draft that is written now: behind all others. */
  nextOrder() {
    this.#lastOrder = Math.max(this.#lastOrder + 1, Date.now() * 1000);
    return this.#lastOrder;
  }

  /** @param {Omit<StoredDraft, 'tab'>} draft replaces an earlier one with the same client id */
  put(draft) {
    this.#store('readwrite')?.put({ ...draft, tab: this.#tab });
  }

  /** @param {string} clientId */
  remove(clientId) {
    this.#store('readwrite')?.delete(clientId);
  }

  /**
   * Takes over the drafts of this tab's former page and of tabs that are gone.
   *
   * @param {(draft: StoredDraft) => boolean} isKnown those are not returned
   * @returns {Promise<StoredDraft[]>} in the order of writing
   */
  async adopt(isKnown) {
    if (!this.#database) return [];
    const living = await livingTabs();
    /** @type {StoredDraft[]} */
    const drafts = await settled(/** @type {IDBObjectStore} */ (this.#store('readonly')).getAll());
    const orphans = drafts.filter((draft) => (draft.tab === this.#tab || !living.has(draft.tab)) && !isKnown(draft));
    orphans.sort((a, b) => a.order - b.order);
    for (const draft of orphans) this.put(draft);
    return orphans;
  }

  /** @param {IDBTransactionMode} mode */
  #store(mode) {
    return this.#database?.transaction(STORE, mode).objectStore(STORE);
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
