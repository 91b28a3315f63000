/**
 * settings.js - what people can choose about the page; kept in this browser, and the same in all its tabs.
 */
import { loadJson, saveJson } from './storage.js';
import { LANGUAGES, language, t } from './strings.js';

/**
 * @typedef {object} Settings
 * @property {'system' | 'light' | 'dark'} theme
 * @property {'comfortable' | 'compact'} density
 * @property {boolean} notify
 * @property {boolean} sound
 * @property {string} language  empty: the browser's
 */

/** @type {Settings} */
const DEFAULTS = { theme: 'system', density: 'comfortable', notify: false, sound: false, language: '' };

/** @type {Settings} */
let settings = read();

/** @returns {Settings} */
function read() {
  const stored = loadJson('settings');
  return { ...DEFAULTS, ...(typeof stored === 'object' ? stored : {}) };
}

/** @returns {Readonly<Settings>} */
export function currentSettings() {
  return settings;
}

/** Another tab has changed them. */
export function reloadSettings() {
  settings = read();
  apply();
}

/** @param {Partial<Settings>} change */
function changeSettings(change) {
  settings = { ...settings, ...change };
  saveJson('settings', settings);
  apply();
}

/** Has the page look as chosen; theme.js does the same before the first paint. */
function apply() {
  const { dataset } = document.documentElement;
  if (settings.theme === 'system') delete dataset.theme;
  else dataset.theme = settings.theme;
  if (settings.density === 'compact') dataset.density = 'compact';
  else delete dataset.density;
}

/**
 * Binds the form of the dialog to the settings.
 *
 * @param {HTMLFormElement} form  fields are named as the settings; `name` is the user's
 * @param {HTMLElement} denied    shown when the browser lets no notifications through
 * @param {(name: string) => void} onName
 * @returns {(name: string) => void} fills the form, before it is shown
 */
export function bindSettings(form, denied, onName) {
  const field = (/** @type {string} */ name) => /** @type {any} */ (form.elements.namedItem(name));
  for (const [code, name] of Object.entries(LANGUAGES)) field('language').append(new Option(name, code));

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    form.closest('dialog')?.close();
  });
  form.addEventListener('change', async (event) => {
    const { name } = /** @type {HTMLInputElement} */ (event.target);
    if (name === 'name') {
      onName(field('name').value);
    } else if (name === 'notify') {
      const isAllowed = field('notify').checked && (await askToNotify());
      denied.hidden = isAllowed || !field('notify').checked;
      field('notify').checked = isAllowed;
      changeSettings({ notify: isAllowed });
    } else if (name === 'sound') {
      changeSettings({ sound: field('sound').checked });
    } else {
      changeSettings({ [name]: field(name).value });
      if (name === 'language') location.reload();
    }
  });

  return (name) => {
    field('name').value = name;
    field('theme').value = settings.theme;
    field('density').value = settings.density;
    field('language').value = settings.language || language;
    field('notify').checked = settings.notify && globalThis.Notification?.permission === 'granted';
    field('sound').checked = settings.sound;
    denied.textContent = t.notifyDenied;
    denied.hidden = true;
  };
}

async function askToNotify() {
  if (!('Notification' in globalThis)) return false;
  return (await Notification.requestPermission()) === 'granted';
}
