/**
 * message-list.js - the messages on the screen: the room's log on top, one's own drafts below it.
 *
 * Text from the network is only ever set as text, never as markup.
 *
 * Invariants
 *   1. Messages of the log stand in the order of the log; drafts, in the order of writing, stand after all of them.
 *   2. A draft that turns up in the log keeps its element, and moves only if it has to.
 *   3. Whoever reads at the bottom stays there; whoever has scrolled up is not moved.
 *   4. At most MESSAGES_MAX messages are kept; the oldest leave first.
 */

const MESSAGES_MAX = 2000;

/** Messages of one author belong together if no more than this lies between them. */
const TOGETHER_MS = 5 * 60 * 1000;

/** Distance from the bottom that still counts as being there, in pixels: half a line of a restless thumb. */
const BOTTOM_SLACK_PX = 48;

/** Time in which the messages that come with a new connection are not read out one by one. */
const SETTLE_MS = 400;

/** Colours that authors are told apart by; style.css has so many. */
const HUES = 8;

/** @type {Record<import('./outbox.js').DraftState, string>} */
const DELIVERY_TEXTS = { sending: 'sending…', sent: 'sent', failed: 'not sent' };

/**
 * @typedef {import('./chat.js').Message} Message
 * @typedef {import('./chat.js').Draft} Draft
 *
 * @typedef {object} ListParts
 * @property {HTMLOListElement} list
 * @property {HTMLElement} scroller what scrolls, around the list
 * @property {HTMLElement} empty    shown when there is nothing to show
 * @property {HTMLElement} newer    button that leads to messages below
 *
 * @typedef {object} ListListeners
 * @property {(clientId: string) => void} onRetry
 * @property {(clientId: string) => void} onDiscard
 * @property {(clientId: string) => void} onEdit
 */

export class MessageList {
  /**
   * @param {ListParts} parts
   * @param {ListListeners} listeners
   */
  constructor(parts, listeners) {
    this.#parts = parts;
    this.#listeners = listeners;
    parts.scroller.addEventListener('scroll', () => this.#onScroll(), { passive: true });
    parts.newer.addEventListener('click', () => this.scrollToEnd());
    /* A keyboard that slides in, a composer that grows: the bottom has moved, not the reader. */
    new ResizeObserver(() => this.#follow()).observe(parts.scroller);
  }

  /** @type {ListParts} */
  #parts;
  /** @type {ListListeners} */
  #listeners;
  /** @type {Map<string, HTMLLIElement>} Drafts by client id. */
  #drafts = new Map();
  /** @type {Element | null} The last element of the log: message, day or remark. */
  #logEnd = null;
  /** @type {{ author: string, at: number, isOwn: boolean } | null} The last message of the log. */
  #last = null;
  #messageCount = 0;
  #isAtBottom = true;
  /** The scroller's scrollTop and clientHeight as last seen. */
  #top = 0;
  #height = 0;
  #isScrollDue = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #settling;

  /**
   * Adds the next message of the log.
   *
   * @param {Message} message
   * @param {boolean} isOwn
   */
  addMessage(message, isOwn) {
    const draft = this.#drafts.get(message.clientId);
    const item = message.isDraft && draft ? draft : createItem(isOwn);
    if (item === draft) this.#drafts.delete(message.clientId);

    const at = new Date(message.at);
    if (!this.#last || !isSameDay(new Date(this.#last.at), at)) this.#appendToLog(createDay(at));

    const isContinued =
      this.#last !== null &&
      this.#logEnd?.classList.contains('message') === true &&
      this.#last.isOwn === isOwn &&
      this.#last.author === message.author &&
      message.at - this.#last.at < TOGETHER_MS;
    item.toggleAttribute('data-continued', isContinued);
    item.dataset.id = message.id;
    fillItem(item, message.author, message.content);
    setState(item, 'sent', isOwn ? DELIVERY_TEXTS.sent : '');
    setTime(item, at);
    this.#appendToLog(item);

    this.#last = { author: message.author, at: message.at, isOwn };
    if (item !== draft) this.#count(isOwn);
  }

  /**
   * Adds a draft at the very end, and goes there.
   *
   * @param {Draft} draft
   * @param {string} author
   */
  addDraft(draft, author) {
    const item = createItem(true);
    this.#drafts.set(draft.clientId, item);
    fillItem(item, author, draft.content);
    setTime(item, new Date());
    this.#parts.list.append(item);
    this.updateDraft(draft);
    this.#count(true);
    this.scrollToEnd();
  }

  /** @param {Draft} draft */
  updateDraft(draft) {
    const item = this.#drafts.get(draft.clientId);
    if (!item) return;
    if (draft.id) item.dataset.id = draft.id;
    item.querySelector('.failure')?.remove();
    setState(item, draft.state, DELIVERY_TEXTS[draft.state]);
    if (draft.state === 'failed') {
      item.append(this.#createFailure(draft));
      this.#follow();
    }
  }

  /** @param {string} clientId */
  removeDraft(clientId) {
    this.#drafts.get(clientId)?.remove();
    if (this.#drafts.delete(clientId)) this.#messageCount -= 1;
  }

  /**
   * Adds a line between messages that nobody has said.
   *
   * @param {string} text
   */
  addRemark(text) {
    const item = document.createElement('li');
    item.className = 'remark';
    item.textContent = text;
    this.#appendToLog(item);
    this.#follow();
  }

  /** A connection has just been made: what it brings along comes at once. */
  settle() {
    this.#parts.list.setAttribute('aria-busy', 'true');
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => {
      this.#parts.list.removeAttribute('aria-busy');
      this.#parts.empty.hidden = this.#messageCount > 0;
    }, SETTLE_MS);
  }

  scrollToEnd() {
    this.#setAtBottom(true);
    this.#follow();
  }

  /**
   * Puts @item behind the log and before the drafts; leaves it where it is if that is there.
   *
   * @param {Element} item
   */
  #appendToLog(item) {
    const { list } = this.#parts;
    const place = this.#logEnd ? this.#logEnd.nextSibling : list.firstChild;
    if (place !== item) list.insertBefore(item, place);
    this.#logEnd = item;
  }

  /** @param {boolean} isOwn */
  #count(isOwn) {
    const { list, empty, newer } = this.#parts;
    empty.hidden = true;
    this.#messageCount += 1;
    if (this.#messageCount > MESSAGES_MAX) this.#dropOldest(list);
    if (this.#isAtBottom) this.#follow();
    else if (!isOwn) newer.hidden = false;
  }

  /** @param {HTMLOListElement} list */
  #dropOldest(list) {
    const oldest = list.querySelector('.message');
    if (!oldest || oldest === this.#logEnd) return;
    oldest.remove();
    this.#messageCount -= 1;
    /* Of the days and remarks on top, the last day still has messages. */
    while (list.children[1] && !list.children[1].classList.contains('message')) list.children[0].remove();
  }

  /**
   * Only the reader's own moving up leaves the bottom. Messages that pile up below between two frames do not, nor does
   * the browser when it moves the text because the composer has shrunk.
   */
  #onScroll() {
    const { scroller, newer } = this.#parts;
    const below = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
    const hasMovedUp = scroller.scrollTop < this.#top && scroller.clientHeight === this.#height;
    this.#remember();

    if (below <= BOTTOM_SLACK_PX) this.#setAtBottom(true);
    else if (hasMovedUp) this.#setAtBottom(false);
    if (this.#isAtBottom) newer.hidden = true;
  }

  /** @param {boolean} isAtBottom */
  #setAtBottom(isAtBottom) {
    this.#isAtBottom = isAtBottom;
    /* At the bottom the browser must not hold on to what is on the screen, and so move up when the oldest leave. */
    this.#parts.scroller.toggleAttribute('data-reading-back', !isAtBottom);
  }

  /** Stays at the bottom, if that is where the reader is; measures once a frame, however many messages came. */
  #follow() {
    if (!this.#isAtBottom || this.#isScrollDue) return;
    this.#isScrollDue = true;
    requestAnimationFrame(() => {
      const { scroller, newer } = this.#parts;
      this.#isScrollDue = false;
      if (!this.#isAtBottom) return;
      newer.hidden = true;
      scroller.scrollTop = scroller.scrollHeight;
      this.#remember();
    });
  }

  #remember() {
    this.#top = this.#parts.scroller.scrollTop;
    this.#height = this.#parts.scroller.clientHeight;
  }

  /**
   * The line under a draft that has failed: why, and what can be done.
   *
   * @param {Draft} draft
   */
  #createFailure(draft) {
    const { onRetry, onDiscard, onEdit } = this.#listeners;
    const line = document.createElement('p');
    line.className = 'failure';
    const reason = document.createElement('span');
    reason.textContent = `Not sent: ${draft.reason}`;
    line.append(
      reason,
      draft.hopeless
        ? createButton('Edit', 'edit', () => onEdit(draft.clientId))
        : createButton('Try again', 'retry', () => onRetry(draft.clientId)),
      createButton('Discard', 'discard', () => onDiscard(draft.clientId)),
    );
    return line;
  }
}

const timeFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const dayFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'full' });
const nearDayFormat = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' });
const fullFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

/** @param {boolean} isOwn */
function createItem(isOwn) {
  const item = document.createElement('li');
  item.className = 'message';
  item.toggleAttribute('data-own', isOwn);
  item.append(
    createPart('span', 'avatar'),
    createPart('span', 'author'),
    createPart('p', 'content'),
    createPart('span', 'foot'),
  );
  part(item, 'avatar').setAttribute('aria-hidden', 'true');
  part(item, 'author').dir = 'auto';
  part(item, 'content').dir = 'auto';
  part(item, 'foot').append(createPart('time', 'time'), createPart('span', 'delivery'));
  return item;
}

/**
 * @param {Element} item
 * @param {string} author
 * @param {string} content
 */
function fillItem(item, author, content) {
  const avatar = part(item, 'avatar');
  avatar.textContent = initial(author);
  avatar.dataset.hue = String(hue(author));
  part(item, 'author').dataset.hue = avatar.dataset.hue;
  part(item, 'author').textContent = author;
  part(item, 'content').textContent = content;
}

/**
 * @param {HTMLElement} item
 * @param {import('./outbox.js').DraftState} state
 * @param {string} text
 */
function setState(item, state, text) {
  item.dataset.state = state;
  part(item, 'delivery').textContent = text;
}

/**
 * @param {Element} item
 * @param {Date} at
 */
function setTime(item, at) {
  const time = /** @type {HTMLTimeElement} */ (part(item, 'time'));
  time.dateTime = at.toISOString();
  time.textContent = timeFormat.format(at);
  time.title = fullFormat.format(at);
}

/** @param {Date} at */
function createDay(at) {
  const item = document.createElement('li');
  item.className = 'day';
  const time = document.createElement('time');
  time.dateTime = at.toISOString().slice(0, 10);
  time.textContent = dayName(at);
  item.append(time);
  return item;
}

/** @param {Date} at */
function dayName(at) {
  const today = new Date();
  if (isSameDay(at, today)) return nearDayFormat.format(0, 'day');
  const yesterday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1);
  if (isSameDay(at, yesterday)) return nearDayFormat.format(-1, 'day');
  return dayFormat.format(at);
}

/**
 * @param {Date} a
 * @param {Date} b
 */
function isSameDay(a, b) {
  return a.toDateString() === b.toDateString();
}

/** @param {string} author */
function initial(author) {
  return [...author.trim()][0]?.toLocaleUpperCase() ?? '?';
}

/**
 * The same author gets the same colour everywhere (FNV-1a).
 *
 * @param {string} author
 */
function hue(author) {
  let hash = 0x811c9dc5;
  for (const character of author) {
    hash = Math.imul(hash ^ /** @type {number} */ (character.codePointAt(0)), 0x01000193);
  }
  return (hash >>> 0) % HUES;
}

/**
 * @param {string} tag
 * @param {string} className
 */
function createPart(tag, className) {
  const element = document.createElement(tag);
  element.className = className;
  return element;
}

/**
 * @param {string} text
 * @param {string} className
 * @param {() => void} onClick
 */
function createButton(text, className, onClick) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = `link ${className}`;
  button.textContent = text;
  button.addEventListener('click', onClick);
  return button;
}

/**
 * @param {Element} item
 * @param {string} className
 * @returns {HTMLElement}
 */
function part(item, className) {
  return /** @type {HTMLElement} */ (item.querySelector(`.${className}`));
}
