/**
 * connection-view.js - how the connection is: a word in the bar, a banner with the next attempt while there is none, and a
 * panel with what it is made of.
 */
import { t } from './strings.js';

/** Time between two measurements while the panel is open. */
const MEASURE_MS = 3000;

/**
 * @typedef {import('./chat.js').Chat} Chat
 * @typedef {import('./room.js').Room} Room
 * @typedef {'connecting' | 'connected' | 'recovered' | 'offline'} Shown
 *
 * @typedef {object} ConnectionParts
 * @property {HTMLElement} word     in the bar; a button that opens the panel
 * @property {HTMLElement} banner
 * @property {HTMLElement} text
 * @property {HTMLElement} when
 * @property {HTMLElement} retry    button
 * @property {HTMLDialogElement} panel
 * @property {(name: 'state' | 'transport' | 'gateway' | 'latency' | 'commit') => HTMLElement} detail
 */

export class ConnectionView {
  /**
   * @param {ConnectionParts} parts
   * @param {Chat} chat
   */
  constructor(parts, chat) {
    this.#parts = parts;
    this.#chat = chat;
    parts.retry.addEventListener('click', () => chat.reconnect());
    parts.word.addEventListener('click', () => this.#openPanel());
    parts.panel.addEventListener('close', () => clearInterval(this.#measuring));
  }

  /** @type {ConnectionParts} */
  #parts;
  /** @type {Chat} */
  #chat;
  /** @type {Room | null} */
  #room = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #counting;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #measuring;

  /**
   * @param {Room} room that is on the screen
   * @returns {Shown}
   */
  show(room) {
    const { word, banner, text, retry } = this.#parts;
    const isWaiting = this.#chat.state === 'waiting';
    const state = this.#stateOf(room);
    this.#room = room;
    word.dataset.state = state;
    setText(word, t[state]);
    banner.hidden = state !== 'offline';
    const reason = !isWaiting ? room.refusal : navigator.onLine ? t.noConnection : t.noNetwork;
    setText(text, state === 'offline' ? reason : '');
    retry.hidden = !isWaiting && !room.isConnected;

    clearInterval(this.#counting);
    this.#countDown();
    if (isWaiting) this.#counting = setInterval(() => this.#countDown(), 250);
    if (this.#parts.panel.open) this.#fillPanel();
    return state;
  }

  /**
   * @param {Room} room
   * @returns {Shown}
   */
  #stateOf(room) {
    if (room.state === 'refused' || this.#chat.state === 'waiting') return 'offline';
    if (this.#chat.state === 'connecting' || room.state === 'joining') return 'connecting';
    return room.state === 'recovered' ? 'recovered' : 'connected';
  }

  #countDown() {
    const seconds = Math.ceil((this.#chat.retryAt - Date.now()) / 1000);
    setText(this.#parts.when, this.#chat.state === 'waiting' && seconds > 0 ? t.retryIn(seconds) : '');
  }

  #openPanel() {
    this.#parts.panel.showModal();
    this.#fillPanel();
    void this.#measure();
    clearInterval(this.#measuring);
    this.#measuring = setInterval(() => void this.#measure(), MEASURE_MS);
  }

  #fillPanel() {
    const { detail, word } = this.#parts;
    const details = this.#chat.details;
    setText(detail('state'), word.textContent ?? '');
    setText(detail('transport'), details?.transport ?? '–');
    setText(detail('gateway'), details?.gateway ?? '–');
    const commit = this.#room?.latencyMs ?? 0;
    setText(detail('commit'), commit > 0 ? t.milliseconds(commit) : '–');
    if (!details) setText(detail('latency'), '–');
  }

  async #measure() {
    this.#fillPanel();
    const time = await this.#room?.measure().catch(() => undefined);
    setText(this.#parts.detail('latency'), time === undefined ? '–' : t.milliseconds(time));
  }
}

/**
 * @param {HTMLElement} target
 * @param {string} text
 */
function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}
