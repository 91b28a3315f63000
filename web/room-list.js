/**
 * room-list.js - the rooms that one is in, those with the newest messages first, as links: they can be opened in other tabs,
 * too.
 */
import { createPart, formatTime, hue, initial } from './message-item.js';
import { t } from './strings.js';

/** What is shown of a message. */
const PREVIEW_CHARACTERS = 80;

/** @typedef {import('./room.js').Room} Room */

export class RoomList {
  /**
   * @param {HTMLUListElement} list
   * @param {(name: string) => string} addressOf
   * @param {(name: string) => void} onOpen
   */
  constructor(list, addressOf, onOpen) {
    this.#list = list;
    this.#addressOf = addressOf;
    list.addEventListener('click', (event) => {
      const link = /** @type {Element} */ (event.target).closest('a');
      if (!link?.dataset.room || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      onOpen(link.dataset.room);
    });
  }

  /** @type {HTMLUListElement} */
  #list;
  /** @type {(name: string) => string} */
  #addressOf;
  /** @type {Map<string, HTMLLIElement>} By room. */
  #items = new Map();

  /**
   * @param {Room[]} rooms
   * @param {Room} current
   */
  show(rooms, current) {
    const sorted = [...rooms].sort((a, b) => (b.newest?.at ?? 0) - (a.newest?.at ?? 0) || a.name.localeCompare(b.name));
    for (const [name, item] of this.#items) {
      if (sorted.some((room) => room.name === name)) continue;
      item.remove();
      this.#items.delete(name);
    }
    sorted.forEach((room, index) => {
      const item = this.#items.get(room.name) ?? this.#create(room.name);
      this.#fill(item, room, room === current);
      /* Moving an element takes its focus away: only where it has to be elsewhere. */
      const place = this.#list.children[index] ?? null;
      if (place !== item) this.#list.insertBefore(item, place);
    });
  }

  /** @param {string} name */
  #create(name) {
    const item = document.createElement('li');
    const link = document.createElement('a');
    link.href = this.#addressOf(name);
    link.dataset.room = name;
    const avatar = createPart('span', 'avatar');
    avatar.textContent = initial(name);
    avatar.dataset.hue = String(hue(name));
    avatar.setAttribute('aria-hidden', 'true');
    const badge = createPart('span', 'badge');
    const title = createPart('span', 'title');
    title.textContent = name;
    const preview = createPart('span', 'preview');
    preview.dir = 'auto';
    link.append(avatar, title, createPart('span', 'when'), preview, badge);
    item.append(link);
    this.#items.set(name, item);
    return item;
  }

  /**
   * @param {HTMLLIElement} item
   * @param {Room} room
   * @param {boolean} isCurrent
   */
  #fill(item, room, isCurrent) {
    const link = /** @type {HTMLAnchorElement} */ (item.firstElementChild);
    if (isCurrent) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
    const { newest, unread } = room;
    setText(link, '.when', newest ? formatTime(newest.at) : '');
    setText(link, '.preview', newest ? preview(newest) : t.nothingYet);
    const badge = /** @type {HTMLElement} */ (link.querySelector('.badge'));
    badge.hidden = unread === 0;
    setText(link, '.badge', unread > 99 ? '99+' : String(unread));
    badge.setAttribute('aria-label', t.unread(unread));
    badge.setAttribute('role', 'img');
  }
}

/** @param {import('./timeline.js').Message} message */
function preview({ author, content, isOwn }) {
  const line = [...content.trim().replace(/\s+/gu, ' ')].slice(0, PREVIEW_CHARACTERS).join('');
  return t.said(isOwn ? t.you : author, line);
}

/**
 * @param {Element} parent
 * @param {string} selector
 * @param {string} text
 */
function setText(parent, selector, text) {
  const element = /** @type {Element} */ (parent.querySelector(selector));
  if (element.textContent !== text) element.textContent = text;
}
