/**
 * composer.js - where a message is written.
 *
 * Enter sends and Shift+Enter breaks the line; on a touch screen, whose keyboard has one Enter key alone, Enter breaks
 * the line and the button sends. The field grows with the text, up to what style.css allows. What is half written is kept
 * for each room.
 */
import { load, save } from './storage.js';
import { t } from './strings.js';

/** The longest text that a gateway takes by default (CONTENT_BYTES_MAX), in UTF-8. */
const BYTES_MAX = 16 * 1024;

/** The counter appears when no more is left than this. */
const BYTES_NEAR = 1024;

/**
 * @typedef {object} ComposerParts
 * @property {HTMLFormElement} form
 * @property {HTMLTextAreaElement} field
 * @property {HTMLElement} counter
 *
 * @typedef {object} ComposerListeners
 * @property {(content: string) => void} onSend  gets the text as it was written, never blank
 * @property {(hasText: boolean) => void} onInput
 */

export class Composer {
  /**
   * @param {ComposerParts} parts
   * @param {ComposerListeners} listeners
   */
  constructor({ form, field, counter }, listeners) {
    this.#field = field;
    this.#counter = counter;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const content = field.value;
      if (content.trim() === '' || this.#bytesLeft() < 0) return;
      listeners.onSend(content);
      this.#set('');
      field.focus();
    });
    field.addEventListener('keydown', (event) => {
      if (!isSendKey(event)) return;
      event.preventDefault();
      form.requestSubmit();
    });
    field.addEventListener('input', () => {
      this.#fit();
      listeners.onInput(field.value.trim() !== '');
    });
  }

  /** @type {HTMLTextAreaElement} */
  #field;
  /** @type {HTMLElement} */
  #counter;
  #room = '';

  /**
   * Writes in another room, going on with what was begun there.
   *
   * @param {string} room
   */
  switchTo(room) {
    this.#room = room;
    this.#field.placeholder = t.writeIn(room);
    this.#set(load(`draft.${room}`) ?? '');
  }

  /**
   * Puts a text back for editing, in front of what has been written since.
   *
   * @param {string} content
   */
  restore(content) {
    const rest = this.#field.value;
    this.#set(rest === '' ? content : `${content}\n${rest}`);
    this.#field.focus();
    this.#field.setSelectionRange(content.length, content.length);
  }

  focus() {
    this.#field.focus();
  }

  #bytesLeft() {
    return BYTES_MAX - new TextEncoder().encode(this.#field.value).length;
  }

  /** @param {string} content */
  #set(content) {
    this.#field.value = content;
    this.#fit();
  }

  #fit() {
    const field = this.#field;
    save(`draft.${this.#room}`, field.value);
    field.style.height = 'auto';
    const borders = field.offsetHeight - field.clientHeight;
    field.style.height = `${field.scrollHeight + borders}px`;

    const left = field.value.length * 3 < BYTES_MAX - BYTES_NEAR ? BYTES_MAX : this.#bytesLeft();
    this.#counter.hidden = left > BYTES_NEAR;
    this.#counter.textContent = left < 0 ? t.bytesOver(-left) : t.bytesLeft(left);
    this.#counter.toggleAttribute('data-over', left < 0);
    field.setAttribute('aria-invalid', String(left < 0));
  }
}

const coarsePointer = matchMedia('(pointer: coarse)');

/** @param {KeyboardEvent} event */
function isSendKey(event) {
  /* 229: Enter confirms a candidate of an input method; some browsers end the composition before they say so. */
  if (event.isComposing || event.keyCode === 229) return false;
  return event.key === 'Enter' && !event.shiftKey && !event.altKey && !coarsePointer.matches;
}
