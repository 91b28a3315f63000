/**
 * outbox.js - what this person has written in one room and the room has not shown yet.
 *
 * Invariants
 *   1. One draft is in flight at a time. So drafts reach the room in the order in which they were written, whatever
 *      fails in between.
 *   2. A draft keeps its client id. The room stores the same client id once, so that sending a draft again is always
 *      safe, also when it is not known whether the first time succeeded.
 *   3. Every draft ends where the person can see it: sent, or failed with a reason. While there is no connection it
 *      stays "sending": that wait has no end of its own.
 *   4. What is not known to be stored is kept (links.keep), and taken up again by restore() on the next page.
 */

/** Times that a draft is sent over a living connection before the person is asked what to do. */
const ATTEMPTS_MAX = 3;

/** Pause between two of them, unless the server names another. */
const RETRY_DELAY_MS = 1000;

/** Failures that the same text meets every time. All others pass. */
const PERMANENT_CODES = new Set(['invalid_message', 'too_large', 'forbidden']);

/**
 * @typedef {'sending' | 'sent' | 'failed'} DraftState
 *
 * @typedef {object} Draft
 * @property {string} clientId
 * @property {string} author    the name it was written under
 * @property {string} content
 * @property {number} order     ascending in the order of writing
 * @property {DraftState} state
 * @property {number} attempts  since it was written, or since "try again"
 * @property {number} id        the room's id for it; 0 until acknowledged
 * @property {string} reason    why it failed; empty unless it did
 * @property {boolean} hopeless the same text would fail again
 *
 * @typedef {object} Failure
 * @property {string} code
 * @property {string} message
 * @property {number} [retryAfter] milliseconds to wait before the next attempt
 *
 * @typedef {object} OutboxLinks
 * @property {(draft: Draft, fail: (failure: Failure) => void) => void} transmit
 *   Sends the draft once. A good answer goes to acknowledged(), a bad one or none in time to fail, which does nothing
 *   once the attempt is over.
 * @property {(draft: Draft) => void} changed
 *   The draft's state or reason is another one now.
 * @property {() => string} author             The name that the present session goes by.
 * @property {(draft: Draft) => void} keep    It has to outlive the page, as it is now.
 * @property {(clientId: string) => void} drop  It has not, any more.
 */

export class Outbox {
  /** @param {OutboxLinks} links */
  constructor(links) {
    this.#links = links;
  }

  /** @type {OutboxLinks} */
  #links;
  /** @type {Map<string, Draft>} By client id, in the order of writing. */
  #drafts = new Map();
  /** @type {Draft | null} */
  #inFlight = null;
  /** Counts transmissions, to tell an old attempt's failure from the present one's. */
  #transmission = 0;
  #isOpen = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} Set while the next attempt has to wait. */
  #pause;

  /** All drafts, in the order of writing. */
  get drafts() {
    return [...this.#drafts.values()];
  }

  /** Whether leaving now would lose something, if nothing were kept. */
  get hasUnsent() {
    return this.drafts.some((draft) => draft.state !== 'sent');
  }

  /** The draft that is on its way, or is the next to go. */
  get next() {
    return this.drafts.find((draft) => draft.state === 'sending');
  }

  /**
   * @param {string} clientId
   * @param {string} author
   * @param {string} content
   * @param {number} order
   * @returns {Draft}
   */
  add(clientId, author, content, order) {
    /** @type {Draft} */
    const draft = {
      clientId,
      author,
      content,
      order,
      state: 'sending',
      attempts: 0,
      id: 0,
      reason: '',
      hopeless: false,
    };
    this.#drafts.set(clientId, draft);
    this.#links.keep(draft);
    this.#next();
    return draft;
  }

  /**
   * Takes up drafts that were kept, in front of those that were written since. Whether the room has them is not known.
   *
   * @param {Pick<Draft, 'clientId' | 'author' | 'content' | 'order' | 'reason' | 'hopeless'>[]} kept in the order of
   *   writing
   */
  restore(kept) {
    const newer = this.drafts;
    this.#drafts.clear();
    for (const draft of kept) {
      const state = draft.reason === '' ? 'sending' : 'failed';
      this.#drafts.set(draft.clientId, { ...draft, state, attempts: 0, id: 0 });
    }
    for (const draft of newer) this.#drafts.set(draft.clientId, draft);
    this.#next();
  }

  /** The connection is there: goes on with what waits. */
  open() {
    this.#isOpen = true;
    this.#next();
  }

  /** The connection is gone. What was in flight goes again over the next one, and that is not its fault. */
  close() {
    this.#isOpen = false;
    if (this.#inFlight) this.#inFlight.attempts -= 1;
    this.#land();
  }

  /**
   * The room has stored the draft. Late answers count too: also one to an earlier attempt, or after "failed".
   *
   * @param {string} clientId
   * @param {number} id
   */
  acknowledged(clientId, id) {
    const draft = this.#drafts.get(clientId);
    if (!draft || draft.state === 'sent') return;
    draft.id = id;
    this.#links.drop(clientId);
    this.#change(draft, 'sent');
    if (draft === this.#inFlight) this.#land();
    this.#next();
  }

  /**
   * The room has shown a message. If that is a draft, it is one no more.
   *
   * @param {string} clientId
   * @param {string} content
   * @returns {boolean} whether it was one
   */
  shown(clientId, content) {
    const draft = this.#drafts.get(clientId);
    /* Anybody may say something under a client id that they have seen. */
    if (draft?.content !== content) return false;
    this.#drafts.delete(clientId);
    this.#links.drop(clientId);
    draft.state = 'sent';
    if (draft === this.#inFlight) this.#land();
    this.#next();
    return true;
  }

  /**
   * The draft in flight has met a failure; one that is not in flight is left alone.
   *
   * @param {string} clientId
   * @param {Failure} failure
   */
  failed(clientId, failure) {
    const draft = this.#inFlight;
    if (draft?.clientId !== clientId) return;
    this.#land();

    if (PERMANENT_CODES.has(failure.code)) {
      draft.hopeless = true;
      this.#fail(draft, failure.message);
      this.#next();
    } else if (draft.attempts >= ATTEMPTS_MAX) {
      this.#giveUp(draft, failure.message);
    } else {
      this.#pause = setTimeout(() => {
        this.#pause = undefined;
        this.#next();
      }, failure.retryAfter ?? RETRY_DELAY_MS);
    }
  }

  /**
   * Sends a failed draft again, behind what waits.
   *
   * @param {string} clientId
   * @param {number} order its new place
   */
  retry(clientId, order) {
    const draft = this.#drafts.get(clientId);
    if (draft?.state !== 'failed') return;
    this.#drafts.delete(clientId);
    this.#drafts.set(clientId, draft);
    draft.order = order;
    draft.attempts = 0;
    draft.hopeless = false;
    this.#change(draft, 'sending');
    this.#links.keep(draft);
    this.#next();
  }

  /**
   * Forgets a failed draft.
   *
   * @param {string} clientId
   * @returns {Draft | undefined} it, unless it is not there or has not failed
   */
  discard(clientId) {
    const draft = this.#drafts.get(clientId);
    if (draft?.state !== 'failed') return undefined;
    this.#drafts.delete(clientId);
    this.#links.drop(clientId);
    return draft;
  }

  #next() {
    if (!this.#isOpen || this.#inFlight || this.#pause !== undefined) return;
    const draft = this.next;
    /* Nobody said it under another name; and to the room, which may have it already, that would be another message. */
    if (!draft || draft.author !== this.#links.author()) return;
    this.#inFlight = draft;
    draft.attempts += 1;
    const transmission = ++this.#transmission;
    this.#links.transmit(draft, (failure) => {
      if (transmission === this.#transmission) this.failed(draft.clientId, failure);
    });
  }

  /** Nothing is in flight and nothing has to wait. */
  #land() {
    this.#inFlight = null;
    clearTimeout(this.#pause);
    this.#pause = undefined;
  }

  /**
   * The room cannot take anything now. What waits behind @draft fails with it: it must not overtake, and the person
   * should not have to watch each of them fail in turn.
   *
   * @param {Draft} draft
   * @param {string} reason
   */
  #giveUp(draft, reason) {
    this.#fail(draft, reason);
    for (const waiting of this.#drafts.values()) {
      if (waiting.state === 'sending') this.#fail(waiting, reason);
    }
  }

  /**
   * @param {Draft} draft
   * @param {string} reason
   */
  #fail(draft, reason) {
    this.#change(draft, 'failed', reason);
    this.#links.keep(draft);
  }

  /**
   * @param {Draft} draft
   * @param {DraftState} state
   * @param {string} [reason]
   */
  #change(draft, state, reason = '') {
    draft.state = state;
    draft.reason = reason;
    this.#links.changed(draft);
  }
}
