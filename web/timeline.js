/**
 * timeline.js - the stretch of a room's log that is at hand. The log itself may be of any length and stays on the server;
 * this is a window over it that moves as its reader scrolls.
 *
 * Invariants
 *   1. `messages` are a stretch of the log without holes, in its order, and at most WINDOW_MAX.
 *   2. The newest messages of the room, at most TAIL_MAX, are at hand always. While `isAttached`, the window ends with
 *      them; otherwise the reader is elsewhere, and what arrives is not shown.
 *   3. A window that is full drops what is farthest from where it grows; what is being read is never dropped.
 */

export const WINDOW_MAX = 400;
export const TAIL_MAX = 100;

/** Messages that are asked for at once; the server gives no more. */
const PAGE = 100;

/**
 * @typedef {object} Message
 * @property {number} id       1, 2, 3, … in its room
 * @property {string} author
 * @property {string} content
 * @property {number} at       milliseconds since 1970 UTC
 * @property {string} clientId
 * @property {boolean} isOwn   written in this browser
 *
 * @typedef {{ before: number } | { after: number }} Place next to an id that is itself not meant
 *
 * @typedef {object} Page
 * @property {Message[]} messages ascending
 * @property {boolean} more       there are others beyond
 *
 * @typedef {{ kind: 'reset' }
 *   | { kind: 'end', added: number, droppedAtStart: number }
 *   | { kind: 'start', added: number, droppedAtEnd: number }
 *   | { kind: 'message', index: number }
 *   | { kind: 'state' }} Change  `message`: one is another now; `state`: loading, hasFailed, hasOlder or isAttached alone
 *
 * @typedef {object} TimelineLinks
 * @property {(place: Place & { limit: number }) => Promise<Page>} fetch
 * @property {(change: Change) => void} changed
 */

export class Timeline {
  /** @param {TimelineLinks} links */
  constructor(links) {
    this.#links = links;
  }

  /** @type {TimelineLinks} */
  #links;
  /** @type {Message[]} */
  #messages = [];
  /** @type {Message[]} */
  #tail = [];
  #isAttached = true;
  #hasOlder = true;
  /** @type {'older' | 'newer' | 'place' | ''} */
  #loading = '';
  #hasFailed = false;
  /** Which window a page was asked for; another one has no use for it. */
  #generation = 0;

  /** Whether the reader is at the end, and what leaves at the start is not missed. Set by whoever shows the window. */
  isFollowed = true;

  /** @type {readonly Message[]} */
  get messages() {
    return this.#messages;
  }

  get isAttached() {
    return this.#isAttached;
  }

  /** Whether there is something in front of the window. */
  get hasOlder() {
    return this.#hasOlder && (this.#messages[0]?.id ?? 1) > 1;
  }

  get loading() {
    return this.#loading;
  }

  /** Whether the last page that was asked for did not come. */
  get hasFailed() {
    return this.#hasFailed;
  }

  /** @returns {Message | undefined} */
  get newest() {
    return this.#tail[this.#tail.length - 1];
  }

  /**
   * The room has a new message.
   *
   * @param {Message} message
   */
  add(message) {
    this.#tail.push(message);
    if (this.#tail.length > TAIL_MAX) this.#tail.shift();
    if (this.#messages.length >= WINDOW_MAX && !this.isFollowed) this.#isAttached = false;
    if (!this.#isAttached) {
      this.#links.changed({ kind: 'state' });
      return;
    }
    this.#messages.push(message);
    this.#links.changed({ kind: 'end', added: 1, droppedAtStart: this.#dropAtStart(WINDOW_MAX) });
  }

  /** The next message does not follow the last one: what lies between is left out, and can be read by older(). */
  leap() {
    this.#tail = [];
    this.toNewest();
  }

  /**
   * The room has been set back: what had the ids from @id on is not there any more.
   *
   * @param {number} id
   */
  cut(id) {
    this.#tail = this.#tail.filter((message) => message.id < id);
    if (this.#messages.some((message) => message.id >= id)) {
      this.#messages = this.#messages.filter((message) => message.id < id);
      this.#reset();
    }
  }

  /**
   * Finds out anew which messages were written in this browser.
   *
   * @param {(message: Message) => boolean} isOwn
   */
  reviseOwn(isOwn) {
    for (const message of new Set([...this.#tail, ...this.#messages])) {
      if (message.isOwn || !isOwn(message)) continue;
      message.isOwn = true;
      const index = this.#messages.indexOf(message);
      if (index >= 0) this.#links.changed({ kind: 'message', index });
    }
  }

  /** Goes to the newest messages. */
  toNewest() {
    this.#messages = this.#tail.slice();
    this.#isAttached = true;
    this.#hasOlder = true;
    this.#reset();
  }

  /** Keeps the newest alone: nobody reads here for now. */
  rest() {
    this.isFollowed = true;
    this.toNewest();
  }

  /** Loads what is in front of the window. */
  async older() {
    const first = this.#messages[0];
    if (!first || !this.hasOlder) return;
    const page = await this.#load('older', { before: first.id });
    if (!page) return;
    this.#hasOlder = page.more;
    this.#messages.unshift(...page.messages);
    const droppedAtEnd = Math.max(0, this.#messages.length - WINDOW_MAX);
    if (droppedAtEnd > 0) {
      this.#messages.length -= droppedAtEnd;
      this.#isAttached = false;
    }
    this.#links.changed({ kind: 'start', added: page.messages.length, droppedAtEnd });
  }

  /** Loads what follows the window, where that is not attached. */
  async newer() {
    const last = this.#messages[this.#messages.length - 1];
    if (!last || this.#isAttached) return;
    const page = await this.#load('newer', { after: last.id });
    if (!page) return;
    const before = this.#messages.length;
    this.#messages.push(...page.messages);
    this.#attachIfPossible();
    const added = this.#messages.length - before;
    const droppedAtStart = this.#dropAtStart(WINDOW_MAX);
    this.#links.changed({ kind: 'end', added, droppedAtStart });
  }

  /**
   * Goes to where @id is, with what follows it.
   *
   * @param {number} id
   * @returns {Promise<boolean>} whether that worked
   */
  async goTo(id) {
    if (this.#messages.some((message) => message.id === id)) return true;
    const page = await this.#load('place', { after: Math.max(0, id - 1 - PAGE / 4) });
    if (!page || page.messages.length === 0) return false;
    this.#messages = page.messages;
    this.#isAttached = false;
    this.#hasOlder = true;
    this.#attachIfPossible();
    this.#reset();
    return true;
  }

  /** The window ends where the newest messages begin, or among them: they are appended. */
  #attachIfPossible() {
    const last = this.#messages[this.#messages.length - 1];
    const firstOfTail = this.#tail[0];
    if (!last || (firstOfTail && firstOfTail.id > last.id + 1)) return;
    this.#messages.push(...this.#tail.filter((message) => message.id > last.id));
    this.#isAttached = true;
  }

  /**
   * @param {number} max
   * @returns {number} of messages dropped
   */
  #dropAtStart(max) {
    const dropped = Math.max(0, this.#messages.length - max);
    if (dropped > 0) {
      this.#messages.splice(0, dropped);
      this.#hasOlder = true;
    }
    return dropped;
  }

  #reset() {
    this.#generation += 1;
    this.#loading = '';
    this.#hasFailed = false;
    this.#links.changed({ kind: 'reset' });
  }

  /**
   * Loads one page at a time.
   *
   * @param {'older' | 'newer' | 'place'} which
   * @param {Place} place
   * @returns {Promise<Page | undefined>} nothing where it failed, or is of no use any more
   */
  async #load(which, place) {
    if (this.#loading !== '') return undefined;
    const generation = this.#generation;
    this.#loading = which;
    this.#hasFailed = false;
    this.#links.changed({ kind: 'state' });
    const page = await this.#links.fetch({ ...place, limit: PAGE }).catch(() => undefined);
    if (generation !== this.#generation) return undefined;
    this.#loading = '';
    this.#hasFailed = page === undefined;
    if (!page) this.#links.changed({ kind: 'state' });
    return page;
  }
}
