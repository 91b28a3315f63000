/**
 * message-view.js - a room's messages on the screen: the window of its timeline on top, one's own drafts below it.
 *
 * Invariants
 *   1. The items are the timeline's messages, in its order; drafts, in the order of writing, stand after all of them.
 *   2. A draft that turns up in the log keeps its element, and moves only if it has to.
 *   3. Whoever reads at the bottom stays there; for whoever has scrolled up, what is on the screen does not move, whatever
 *      comes and goes above or below.
 */
import { createItem, fillDraft, fillMessage, relate } from './message-item.js';
import { t } from './strings.js';

/** Distance from the bottom that still counts as being there, in pixels: half a line of a restless thumb. */
const BOTTOM_SLACK_PX = 48;

/** Screens between the reader and the window's edge when more is loaded. */
const LOAD_AHEAD = 2;

/**
 * @typedef {import('./room.js').Room} Room
 * @typedef {import('./timeline.js').Message} Message
 * @typedef {import('./timeline.js').Change} Change
 * @typedef {import('./outbox.js').Draft} Draft
 *
 * @typedef {object} ViewParts
 * @property {HTMLOListElement} list
 * @property {HTMLElement} scroller  what scrolls, around the list
 * @property {HTMLElement} top       above the list: what is there to load, or that nothing is
 * @property {HTMLElement} topText
 * @property {HTMLElement} topRetry  button
 * @property {HTMLElement} empty     shown when there is nothing to show
 * @property {HTMLElement} newer     button that leads to messages below
 * @property {HTMLElement} unread    button that leads to the first unread message, when that is not at hand
 *
 * @typedef {object} ViewListeners
 * @property {() => void} onSeen  the reader is at the newest message
 */

export class MessageView {
  /**
   * @param {ViewParts} parts
   * @param {ViewListeners & import('./message-item.js').FailureListeners} listeners
   */
  constructor(parts, listeners) {
    this.#parts = parts;
    this.#listeners = listeners;
    parts.scroller.addEventListener('scroll', () => this.#onScroll(), { passive: true });
    parts.newer.addEventListener('click', () => this.goToEnd());
    parts.unread.addEventListener('click', () => void this.#goToUnread());
    parts.topRetry.addEventListener('click', () => void this.#room?.timeline.older());
    /* A keyboard that slides in, a composer that grows: the bottom has moved, not the reader. */
    new ResizeObserver(() => this.#follow()).observe(parts.scroller);
  }

  /** @type {ViewParts} */
  #parts;
  /** @type {ViewListeners & import('./message-item.js').FailureListeners} */
  #listeners;
  /** @type {Room | null} */
  #room = null;
  /** @type {HTMLLIElement[]} Of the timeline's messages. */
  #items = [];
  /** @type {Map<string, HTMLLIElement>} Of drafts, by client id. */
  #drafts = new Map();
  #isAtBottom = true;
  /** The room's head when the reader left the bottom. */
  #leftAt = 0;
  /** Id of the message that the line "new" is above of; 0 for none. */
  #unreadFrom = 0;
  /** Where to go when the next window is there. @type {number} id; 0: to the end, if the reader was there */
  #target = 0;
  /** The scroller's scrollTop and clientHeight as last seen. */
  #top = 0;
  #height = 0;
  #isScrollDue = false;

  /** Whether the newest message is on the screen. */
  get isAtEnd() {
    return this.#isAtBottom && (this.#room?.timeline.isAttached ?? false);
  }

  /**
   * Shows a room, at its end or where the unread messages begin.
   *
   * @param {Room} room
   */
  show(room) {
    this.#room?.timeline.rest();
    this.#room = room;
    this.markUnread(false);
    this.#isAtBottom = true;
    this.#renderAll();
    if (this.#unreadFrom > 0 && !this.#unreadIsAbove()) this.#scrollToItem(this.#unreadFrom);
  }

  /**
   * Puts the line "new" above what is not read.
   *
   * @param {boolean} [isRendered] so that it has to appear in what is shown
   */
  markUnread(isRendered = true) {
    const room = this.#room;
    this.#unreadFrom = room && room.unread > 0 && room.lastRead !== null ? room.lastRead + 1 : 0;
    if (!isRendered || !room) return;
    room.timeline.messages.forEach((message, index) => {
      const hasLine = this.#items[index]?.querySelector('.unread-line') !== null;
      if (hasLine !== (message.id === this.#unreadFrom)) this.#relate(index);
    });
    this.#showStatus();
  }

  /** @param {Change} change of the timeline of the room that is shown */
  update(change) {
    if (change.kind === 'reset') {
      this.#renderAll();
    } else if (change.kind === 'message') {
      this.#keepPlace(() => this.#replace(change.index));
    } else if (change.kind === 'end') {
      this.#keepPlace(() => this.#updateEnd(change.added, change.droppedAtStart));
    } else if (change.kind === 'start') {
      this.#keepPlace(() => this.#updateStart(change.added, change.droppedAtEnd));
    }
    this.#showStatus();
    if (change.kind !== 'state') this.#loadWhatIsNear();
  }

  /** @param {Draft} draft that is there, has changed, or is gone */
  updateDraft(draft) {
    const item = this.#drafts.get(draft.clientId);
    const isThere = this.#room?.outbox.drafts.includes(draft);
    if (!isThere) {
      item?.remove();
      this.#drafts.delete(draft.clientId);
    } else if (item) {
      fillDraft(item, draft, this.#listeners);
    } else {
      this.#appendDraft(draft);
    }
    this.#showStatus();
    this.#follow();
  }

  goToEnd() {
    const timeline = this.#room?.timeline;
    this.#setAtBottom(true);
    if (timeline && !timeline.isAttached) timeline.toNewest();
    this.#follow();
  }

  /**
   * What was missed has arrived: the line "new" is above it, and whoever has just come is led there. What could not be
   * loaded before may be now.
   */
  settle() {
    const wasUnknown = this.#unreadFrom === 0;
    this.markUnread();
    if (this.#isAtBottom && wasUnknown && this.#unreadFrom > 0 && !this.#unreadIsAbove()) {
      this.#scrollToItem(this.#unreadFrom);
    }
    this.#load();
  }

  /** The room has arrived, or has not; an empty one says so only then. */
  refresh() {
    this.#showStatus();
  }

  #renderAll() {
    const room = /** @type {Room} */ (this.#room);
    this.#items = room.timeline.messages.map((message) => this.#createMessage(message));
    this.#items.forEach((_, index) => this.#relate(index));
    this.#drafts.clear();
    this.#parts.list.replaceChildren(...this.#items);
    for (const draft of room.outbox.drafts) this.#appendDraft(draft);
    this.#showStatus();
    const target = this.#target;
    this.#target = 0;
    if (target > 0) this.#scrollToItem(target);
    else this.#scrollToBottom();
  }

  /**
   * @param {number} added
   * @param {number} dropped
   */
  #updateEnd(added, dropped) {
    const { messages } = /** @type {Room} */ (this.#room).timeline;
    for (const item of this.#items.splice(0, dropped)) item.remove();
    for (const message of messages.slice(messages.length - added)) {
      const draft = message.isOwn ? this.#drafts.get(message.clientId) : undefined;
      if (draft) this.#drafts.delete(message.clientId);
      const item = draft ?? createItem(message.isOwn);
      fillMessage(item, message);
      const last = this.#items[this.#items.length - 1];
      const place = last ? last.nextSibling : this.#parts.list.firstChild;
      if (place !== item) this.#parts.list.insertBefore(item, place);
      this.#items.push(item);
      this.#relate(this.#items.length - 1);
    }
    if (dropped > 0) this.#relate(0);
  }

  /**
   * @param {number} added
   * @param {number} dropped
   */
  #updateStart(added, dropped) {
    const { messages } = /** @type {Room} */ (this.#room).timeline;
    if (dropped > 0) for (const item of this.#items.splice(-dropped)) item.remove();
    const items = messages.slice(0, added).map((message) => this.#createMessage(message));
    this.#items.unshift(...items);
    this.#parts.list.prepend(...items);
    for (let index = 0; index <= added && index < this.#items.length; index += 1) this.#relate(index);
  }

  /** @param {number} index */
  #replace(index) {
    const message = /** @type {Room} */ (this.#room).timeline.messages[index];
    const old = this.#items[index];
    if (!message || !old) return;
    const item = this.#createMessage(message);
    old.replaceWith(item);
    this.#items[index] = item;
    this.#relate(index);
    this.#relate(index + 1);
  }

  /** @param {Message} message */
  #createMessage(message) {
    const item = createItem(message.isOwn);
    fillMessage(item, message);
    return item;
  }

  /** @param {Draft} draft */
  #appendDraft(draft) {
    const item = createItem(true);
    this.#drafts.set(draft.clientId, item);
    fillDraft(item, draft, this.#listeners);
    this.#parts.list.append(item);
  }

  /** @param {number} index */
  #relate(index) {
    const { messages } = /** @type {Room} */ (this.#room).timeline;
    const message = messages[index];
    const item = this.#items[index];
    if (message && item) relate(item, message, messages[index - 1], message.id === this.#unreadFrom);
  }

  /** Text above the list, the buttons over it, and whether it is empty. */
  #showStatus() {
    const room = /** @type {Room} */ (this.#room);
    const { timeline } = room;
    const { top, topText, topRetry, empty, newer, unread } = this.#parts;
    const hasMessages = timeline.messages.length > 0;
    empty.hidden = hasMessages || this.#drafts.size > 0 || !room.isSettled;
    top.hidden = !hasMessages;
    topRetry.hidden = !timeline.hasFailed;
    const text = timeline.hasFailed ? t.cannotLoad : timeline.hasOlder ? t.loadingOlder : t.beginning;
    if (topText.textContent !== text) topText.textContent = text;

    const isAbove = this.#unreadIsAbove();
    unread.hidden = !isAbove;
    if (isAbove) unread.textContent = `${t.toUnread(Math.max(1, room.head - this.#unreadFrom + 1))} ↑`;

    newer.hidden = this.isAtEnd;
    const count = Math.max(0, room.head - this.#leftAt);
    newer.textContent = `${count > 0 ? t.newMessages(count) : t.toNewest} ↓`;
  }

  /** Whether the first unread message lies in front of the window. */
  #unreadIsAbove() {
    const first = this.#room?.timeline.messages[0];
    return this.#unreadFrom > 0 && first !== undefined && this.#unreadFrom < first.id;
  }

  async #goToUnread() {
    const id = this.#unreadFrom;
    this.#target = id;
    const isThere = await this.#room?.timeline.goTo(id);
    this.#target = 0;
    if (isThere) this.#scrollToItem(id);
  }

  /** @param {number} id */
  #scrollToItem(id) {
    const index = this.#room?.timeline.messages.findIndex((message) => message.id >= id) ?? -1;
    const item = this.#items[index];
    if (!item) return;
    const { scroller } = this.#parts;
    const distance = item.getBoundingClientRect().top - scroller.getBoundingClientRect().top;
    scroller.scrollTop += distance - scroller.clientHeight / 4;
    this.#remember();
    this.#setAtBottom(this.#below() <= BOTTOM_SLACK_PX);
  }

  /**
   * Only the reader's own moving up leaves the bottom. Messages that pile up below between two frames do not, nor does
   * the browser when it moves the text because the composer has shrunk.
   */
  #onScroll() {
    const { scroller } = this.#parts;
    const hasMovedUp = scroller.scrollTop < this.#top && scroller.clientHeight === this.#height;
    this.#remember();
    if (this.#below() <= BOTTOM_SLACK_PX) this.#setAtBottom(true);
    else if (hasMovedUp) this.#setAtBottom(false);
    this.#loadWhatIsNear();
  }

  #below() {
    const { scroller } = this.#parts;
    return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
  }

  /** What has failed is not asked for again with every step; the button does, and the next connection. */
  #loadWhatIsNear() {
    if (!this.#room?.timeline.hasFailed) this.#load();
  }

  #load() {
    const timeline = this.#room?.timeline;
    if (!timeline || timeline.loading !== '' || this.#room?.isCatchingUp) return;
    const { scroller } = this.#parts;
    const ahead = LOAD_AHEAD * scroller.clientHeight;
    /* At the bottom, what arrived last is enough, unless it is so little that one cannot scroll up. */
    const wantsOlder = !this.#isAtBottom || scroller.scrollHeight < ahead;
    if (scroller.scrollTop < ahead && wantsOlder && timeline.hasOlder) void timeline.older();
    else if (this.#below() < ahead && !timeline.isAttached) void timeline.newer();
  }

  /** @param {boolean} isAtBottom */
  #setAtBottom(isAtBottom) {
    const room = this.#room;
    const hasChanged = isAtBottom !== this.#isAtBottom;
    this.#isAtBottom = isAtBottom;
    if (!room) return;
    if (hasChanged && !isAtBottom) this.#leftAt = room.head;
    room.timeline.isFollowed = this.isAtEnd;
    if (hasChanged) this.#showStatus();
    if (this.isAtEnd) this.#listeners.onSeen();
  }

  /**
   * Changes the list without moving what is on the screen.
   *
   * @param {() => void} change
   */
  #keepPlace(change) {
    if (this.#isAtBottom && this.#room?.timeline.isAttached) {
      change();
      this.#follow();
      return;
    }
    const { scroller } = this.#parts;
    const anchor = this.#firstVisible();
    const before = anchor?.getBoundingClientRect().top ?? 0;
    change();
    if (anchor?.isConnected) scroller.scrollTop += anchor.getBoundingClientRect().top - before;
    this.#remember();
  }

  #firstVisible() {
    const top = this.#parts.scroller.getBoundingClientRect().top;
    let low = 0;
    let high = this.#items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (/** @type {HTMLElement} */ (this.#items[middle]).getBoundingClientRect().bottom <= top) low = middle + 1;
      else high = middle;
    }
    return this.#items[low];
  }

  /** Stays at the bottom, if that is where the reader is; measures once a frame, however many messages came. */
  #follow() {
    if (!this.#isAtBottom || this.#isScrollDue) return;
    this.#isScrollDue = true;
    requestAnimationFrame(() => {
      this.#isScrollDue = false;
      if (this.#isAtBottom) this.#scrollToBottom();
    });
  }

  #scrollToBottom() {
    const { scroller } = this.#parts;
    scroller.scrollTop = scroller.scrollHeight;
    this.#remember();
    this.#setAtBottom(true);
  }

  #remember() {
    this.#top = this.#parts.scroller.scrollTop;
    this.#height = this.#parts.scroller.clientHeight;
  }
}
