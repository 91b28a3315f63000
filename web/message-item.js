/**
 * message-item.js - one message as an element. Text from the network is only ever set as text, never as markup.
 *
 *   li.message  data-id (decimal; absent until the room has given one), data-state: sending | sent | failed,
 *               data-own, data-continued (by the same author, shortly after), data-clustered (it is followed by such a one)
 *     .day  .unread-line  .avatar  .author  .content  .foot > time.time, .delivery  .failure > .retry …
 */
import { language, t } from './strings.js';
import { setMessageText } from './text.js';

/** Messages of one author belong together if no more than this lies between them. */
const TOGETHER_MS = 5 * 60 * 1000;

/** Colours that authors are told apart by; style.css has so many. */
const HUES = 8;

/** The user's own variant of the page's language, as in en-GB. */
const locale = navigator.languages.find((tag) => tag.split('-')[0] === language) ?? language;

const timeFormat = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit' });
const dayFormat = new Intl.DateTimeFormat(locale, { dateStyle: 'full' });
const nearDayFormat = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
const fullFormat = new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'medium' });

/** @type {Record<import('./outbox.js').DraftState, string>} */
const DELIVERY_TEXTS = { sending: t.sending, sent: t.sent, failed: t.failed };

/**
 * @typedef {import('./timeline.js').Message} Message
 * @typedef {import('./outbox.js').Draft} Draft
 *
 * @typedef {object} FailureListeners
 * @property {(clientId: string) => void} onRetry
 * @property {(clientId: string) => void} onDiscard
 * @property {(clientId: string) => void} onEdit
 */

/** @param {boolean} isOwn */
export function createItem(isOwn) {
  const item = document.createElement('li');
  item.className = 'message';
  item.toggleAttribute('data-own', isOwn);
  const avatar = createPart('span', 'avatar');
  avatar.setAttribute('aria-hidden', 'true');
  const author = createPart('span', 'author');
  author.dir = 'auto';
  const content = createPart('p', 'content');
  content.dir = 'auto';
  const foot = createPart('span', 'foot');
  foot.append(createPart('time', 'time'), createPart('span', 'delivery'));
  item.append(avatar, author, content, foot);
  return item;
}

/**
 * Fills an item with a message of the log.
 *
 * @param {HTMLLIElement} item
 * @param {Message} message
 */
export function fillMessage(item, message) {
  item.dataset.id = String(message.id);
  item.querySelector('.failure')?.remove();
  fill(item, message.author, message.content, new Date(message.at));
  setState(item, 'sent', message.isOwn ? DELIVERY_TEXTS.sent : '');
}

/**
 * Fills an item with a draft.
 *
 * @param {HTMLLIElement} item
 * @param {Draft} draft
 * @param {FailureListeners} listeners
 */
export function fillDraft(item, draft, listeners) {
  if (draft.id > 0) item.dataset.id = String(draft.id);
  item.querySelector('.failure')?.remove();
  /* The order is the time of writing in microseconds. */
  fill(item, draft.author || t.nameless, draft.content, new Date(draft.order / 1000));
  setState(item, draft.state, DELIVERY_TEXTS[draft.state]);
  if (draft.state === 'failed') item.append(createFailure(draft, listeners));
}

/**
 * What depends on the neighbour above: the day, and whether the same author goes on.
 *
 * @param {HTMLLIElement} item
 * @param {Message} message
 * @param {Message | undefined} previous
 * @param {boolean} isFirstUnread
 */
export function relate(item, message, previous, isFirstUnread) {
  const at = new Date(message.at);
  const isNewDay = !previous || !isSameDay(new Date(previous.at), at);
  const isContinued =
    !isNewDay &&
    !isFirstUnread &&
    previous.author === message.author &&
    previous.isOwn === message.isOwn &&
    message.at - previous.at < TOGETHER_MS;
  item.toggleAttribute('data-continued', isContinued);

  item.querySelector('.day')?.remove();
  item.querySelector('.unread-line')?.remove();
  if (isFirstUnread) {
    const line = createPart('p', 'unread-line');
    line.textContent = t.unreadLine;
    item.prepend(line);
  }
  if (isNewDay) item.prepend(createDay(at));
}

/**
 * @param {HTMLElement} item
 * @param {string} author
 * @param {string} content
 * @param {Date} at
 */
function fill(item, author, content, at) {
  const avatar = part(item, 'avatar');
  avatar.textContent = initial(author);
  avatar.dataset.hue = String(hue(author));
  const name = part(item, 'author');
  name.dataset.hue = avatar.dataset.hue;
  name.textContent = author;
  setMessageText(part(item, 'content'), content);
  const time = /** @type {HTMLTimeElement} */ (part(item, 'time'));
  time.dateTime = at.toISOString();
  time.textContent = timeFormat.format(at);
  time.title = fullFormat.format(at);
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
 * The line under a draft that has failed: why, and what can be done.
 *
 * @param {Draft} draft
 * @param {FailureListeners} listeners
 */
function createFailure(draft, { onRetry, onDiscard, onEdit }) {
  const line = createPart('p', 'failure');
  const reason = document.createElement('span');
  reason.textContent = t.notSent(draft.reason);
  line.append(
    reason,
    draft.hopeless
      ? createButton(t.edit, 'edit', () => onEdit(draft.clientId))
      : createButton(t.tryAgain, 'retry', () => onRetry(draft.clientId)),
    createButton(t.discard, 'discard', () => onDiscard(draft.clientId)),
  );
  return line;
}

/** @param {Date} at */
function createDay(at) {
  const day = createPart('p', 'day');
  const time = document.createElement('time');
  time.dateTime = [at.getFullYear(), at.getMonth() + 1, at.getDate()].map((n) => String(n).padStart(2, '0')).join('-');
  time.textContent = dayName(at);
  day.append(time);
  return day;
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

/** @param {number} at */
export function formatTime(at) {
  const date = new Date(at);
  return isSameDay(date, new Date()) ? timeFormat.format(date) : date.toLocaleDateString(locale, { day: 'numeric', month: 'short' });
}

/** @param {string} author */
export function initial(author) {
  return [...author.trim()][0]?.toLocaleUpperCase() ?? '?';
}

/**
 * The same author gets the same colour everywhere (FNV-1a).
 *
 * @param {string} author
 */
export function hue(author) {
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
export function createPart(tag, className) {
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
