/**
 * strings.js - what the page says, in the language of its user: strings/<language>.js, of which English is complete by
 * definition. A translation is one more file and one more entry of LANGUAGES.
 */
import english from './strings/en.js';
import { loadJson } from './storage.js';

/** @typedef {typeof english} Strings */

/** By language code (BCP 47), with the names that the languages have for themselves. */
export const LANGUAGES = { en: 'English', es: 'Español' };

/** @param {unknown} code */
function isLanguage(code) {
  return typeof code === 'string' && Object.hasOwn(LANGUAGES, code);
}

/** The chosen language, or the first of the browser's that there is. */
function pickLanguage() {
  const chosen = /** @type {any} */ (loadJson('settings'))?.language;
  const wanted = [chosen, ...navigator.languages.map((tag) => tag.split('-')[0])];
  return wanted.find(isLanguage) ?? 'en';
}

/** @type {string} */
export const language = pickLanguage();

/** @type {Strings} */
export const t = language === 'en' ? english : await import(`./strings/${language}.js`).then((file) => file.default, () => english);

/**
 * Puts the strings into the markup: data-text names the one for the text, data-text-<attribute> the one for an attribute.
 *
 * @param {ParentNode} root
 */
export function translate(root) {
  for (const element of root.querySelectorAll('*')) {
    for (const { name, value } of element.attributes) {
      if (!name.startsWith('data-text')) continue;
      const text = t[/** @type {keyof Strings} */ (value)];
      if (typeof text !== 'string') throw new Error(`index.html wants the string "${value}", which there is not`);
      if (name === 'data-text') element.textContent = text;
      else element.setAttribute(name.slice('data-text-'.length), text);
    }
  }
}
