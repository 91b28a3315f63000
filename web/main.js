/**
 * main.js - puts the page together: finds the elements, opens the room, and leads what happens in one to the other.
 *
 * The room is named by the address: ?room=name or #name; without either it is the lobby.
 */
import { io } from '/socket.io/socket.io.esm.min.js';
import { Chat, LOBBY } from './chat.js';
import { Composer } from './composer.js';
import { OwnMessages, loadName, newClientId, saveName } from './identity.js';
import { MessageList } from './message-list.js';

/** @type {Record<import('./chat.js').ConnectionState, string>} */
const CONNECTION_TEXTS = {
  connecting: 'Connecting…',
  connected: 'Connected',
  recovered: 'Recovered, caught up',
  offline: 'Offline',
};

/** What a gateway calls those who give no name. */
const NAMELESS = 'anonymous';

const NAME_CHARACTERS_MAX = 32;

const connectionElement = element('connection', HTMLElement);
const troubleElement = element('trouble', HTMLElement);
const troubleText = element('trouble-text', HTMLElement);
const reconnectButton = element('reconnect', HTMLElement);
const nameField = element('username', HTMLInputElement);

const room = roomOfAddress();
const own = new OwnMessages(room);
nameField.value = loadName();

const chat = new Chat(io, room, nameField.value, {
  onConnection: showConnection,
  onMessage(message) {
    if (message.isDraft) own.add(message.offset);
    list.addMessage(message, message.isDraft || own.has(message.offset));
  },
  onDraft: (draft) => list.updateDraft(draft),
  onGap: (gap) => list.addRemark(describeGap(gap)),
  onNotice: (text) => list.addRemark(text),
});

const list = new MessageList(
  {
    list: element('messages', HTMLOListElement),
    scroller: element('scroller', HTMLElement),
    empty: element('empty', HTMLElement),
    newer: element('newer', HTMLElement),
  },
  {
    onRetry: (clientId) => chat.retry(clientId),
    onDiscard: (clientId) => void discard(clientId),
    onEdit(clientId) {
      const draft = discard(clientId);
      if (draft) composer.restore(draft.content);
    },
  },
);

const composer = new Composer(
  element('composer', HTMLFormElement),
  element('content', HTMLTextAreaElement),
  (content) => {
    takeName();
    const draft = chat.say(newClientId(), content);
    list.addDraft(draft, nameField.value || NAMELESS);
    watchLeaving();
  },
);

element('room', HTMLElement).textContent = room;
document.title = `${room} · Parley`;

reconnectButton.addEventListener('click', () => chat.reconnect());
window.addEventListener('online', () => chat.reconnect());
window.addEventListener('hashchange', () => location.reload());

nameField.addEventListener('change', takeName);
nameField.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.isComposing) return;
  event.preventDefault(); /* in a form, Enter would send the message */
  takeName();
  composer.focus();
});

/* On a touch screen the focus would bring up the keyboard before anyone has asked for it. */
if (!matchMedia('(pointer: coarse)').matches) {
  if (nameField.value) composer.focus();
  else nameField.focus();
}

chat.open();

/** Takes over the name as it stands in its field. */
function takeName() {
  const name = [...nameField.value.trim()].slice(0, NAME_CHARACTERS_MAX).join('');
  nameField.value = name;
  saveName(name);
  chat.rename(name);
}

/** @param {string} clientId */
function discard(clientId) {
  const draft = chat.discard(clientId);
  if (draft) list.removeDraft(clientId);
  return draft;
}

/**
 * @param {import('./chat.js').ConnectionState} state
 * @param {string} reason
 */
function showConnection(state, reason) {
  connectionElement.dataset.state = state;
  setText(connectionElement, CONNECTION_TEXTS[state]);
  troubleElement.hidden = state !== 'offline';
  reconnectButton.hidden = !chat.canReconnect;
  setText(troubleText, reason);
  if (state === 'connected' || state === 'recovered') list.settle();
}

/**
 * Sets a text that screen readers announce, unless it says so already: each failed attempt to connect comes by here.
 *
 * @param {HTMLElement} target
 * @param {string} text
 */
function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** @param {import('./chat.js').Gap} gap */
function describeGap({ from, to, reason }) {
  if (reason === 'epoch') return 'This room was restored from a backup. Its latest messages may be missing.';
  const count = to - from + 1;
  return count === 1 ? 'One message is not shown here.' : `${count.toLocaleString()} messages are not shown here.`;
}

/**
 * From the first message on, asks before the page is left while something is not sent. Not earlier: a page that listens
 * to beforeunload may be kept out of the browser's back/forward cache.
 */
function watchLeaving() {
  window.addEventListener('beforeunload', onLeaving);
}

/** @param {BeforeUnloadEvent} event */
function onLeaving(event) {
  if (chat.hasUnsent) event.preventDefault();
}

/** The room that the address names. */
function roomOfAddress() {
  const name = new URLSearchParams(location.search).get('room') || decode(location.hash.slice(1));
  return name || LOBBY;
}

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`index.html has no #${id} of type ${type.name}`);
  return found;
}
