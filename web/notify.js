/**
 * notify.js - how people who look elsewhere learn of new messages: the title, the icon of the tab, and, where they want
 * that, a notification and a sound.
 */
import { currentSettings } from './settings.js';

const SOUND_HZ = [660, 880];
const SOUND_S = 0.09;
const SOUND_GAIN = 0.06;

/** @type {AudioContext | undefined} */
let audio;

/**
 * @param {string} room   that is shown
 * @param {number} unread in all rooms
 */
export function showUnread(room, unread) {
  const count = unread > 99 ? '99+' : String(unread);
  document.title = `${unread > 0 ? `(${count}) ` : ''}${room} · Parley`;
  const icon = document.querySelector('link[rel="icon"]');
  if (!(icon instanceof HTMLLinkElement)) return;
  const href = (unread > 0 ? icon.dataset.unread : icon.dataset.read) ?? '';
  if (icon.getAttribute('href') !== href) icon.setAttribute('href', href);
}

/**
 * Tells of a message that arrived while nobody looked.
 *
 * @param {string} room
 * @param {import('./timeline.js').Message} message
 * @param {() => void} onClick
 */
export function tellElsewhere(room, message, onClick) {
  const settings = currentSettings();
  if (!settings.notify || globalThis.Notification?.permission !== 'granted') return;
  try {
    const notification = new Notification(`${message.author} · ${room}`, {
      body: message.content.slice(0, 200),
      tag: `parley.${room}`,
      silent: true,
    });
    notification.onclick = () => {
      notification.close();
      window.focus();
      onClick();
    };
  } catch {
    /* Some phones know notifications of service workers only. */
  }
  if (settings.sound) beep();
}

function beep() {
  audio ??= new AudioContext();
  const begin = audio.currentTime;
  SOUND_HZ.forEach((hertz, index) => {
    const context = /** @type {AudioContext} */ (audio);
    const oscillator = context.createOscillator();
    const gain = context.createGain();
    oscillator.frequency.value = hertz;
    gain.gain.setValueAtTime(SOUND_GAIN, begin + index * SOUND_S);
    gain.gain.exponentialRampToValueAtTime(0.0001, begin + (index + 1) * SOUND_S);
    oscillator.connect(gain).connect(context.destination);
    oscillator.start(begin + index * SOUND_S);
    oscillator.stop(begin + (index + 1) * SOUND_S);
  });
}
