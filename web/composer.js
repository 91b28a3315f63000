/**
 * composer.js - where a message is written.
 *
 * Enter sends and Shift+Enter breaks the line; on a touch screen, whose keyboard has one Enter key alone, Enter breaks
 * the line and the button sends. The field grows with the text, up to what style.css allows.
 */

export class Composer {
  /**
   * @param {HTMLFormElement} form
   * @param {HTMLTextAreaElement} field
   * @param {(content: string) => void} onSend gets the text as it was written, never blank
   */
  constructor(form, field, onSend) {
    this.#field = field;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const content = field.value;
      if (content.trim() === '') return;
      this.#set('');
      onSend(content);
      field.focus();
    });
    field.addEventListener('keydown', (event) => {
      if (!isSendKey(event)) return;
      event.preventDefault();
      form.requestSubmit();
    });
    field.addEventListener('input', () => this.#fit());
  }

  /** @type {HTMLTextAreaElement} */
  #field;

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

  /** @param {string} content */
  #set(content) {
    this.#field.value = content;
    this.#fit();
  }

  #fit() {
    const field = this.#field;
    field.style.height = 'auto';
    const borders = field.offsetHeight - field.clientHeight;
    field.style.height = `${field.scrollHeight + borders}px`;
  }
}

const coarsePointer = matchMedia('(pointer: coarse)');

/** @param {KeyboardEvent} event */
function isSendKey(event) {
  /* 229: Enter confirms a candidate of an input method; some browsers end the composition before they say so. */
  if (event.isComposing || event.keyCode === 229) return false;
  return event.key === 'Enter' && !event.shiftKey && !event.altKey && !coarsePointer.matches;
}
