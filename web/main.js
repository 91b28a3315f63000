/**
 * main.js - puts the page together: finds the elements, enters the rooms, and leads what happens in one part to the others.
 *
 * The address names the room that is shown: /r/<room>; / is the lobby.
 */
import { Manager } from './socket.io/socket.io.esm.min.js';
import { Chat, ROOMS_MAX } from './chat.js';
import { Composer } from './composer.js';
import { ConnectionView } from './connection-view.js';
import { DraftStore } from './draft-store.js';
import { createPart, hue, initial } from './message-item.js';
import { MessageView } from './message-view.js';
import { showUnread, tellElsewhere } from './notify.js';
import { LOBBY, isRoomName } from './room.js';
import { RoomList } from './room-list.js';
import { bindSettings, reloadSettings } from './settings.js';
import { load, loadJson, ownKey, save, saveJson, watch } from './storage.js';
import { language, t, translate } from './strings.js';
import { Tabs } from './tabs.js';

const NAME_CHARACTERS_MAX = 32;

/** A screen reader is told of messages at most so often, of several at once. */
const ANNOUNCE_MS = 1500;

const TOAST_MS = 4000;

const SAVE_MS = 250;

/** How often the leader looks for what was written in tabs that are gone, and when after it heard of one. */
const ORPHANS_MS = 15_000;
const ORPHANS_SOON_MS = 500;

/** @typedef {import('./room.js').Room} Room */

document.documentElement.lang = language;
translate(document);

const nameField = element('username', HTMLInputElement);
const peopleButton = element('people', HTMLButtonElement);
const roomsButton = element('open-rooms', HTMLButtonElement);
const stage = element('stage', HTMLElement);
/* Whoever was quick has written something already. */
if (nameField.value === '') nameField.value = load('name') ?? '';

/** @type {ReturnType<typeof setTimeout> | undefined} */
let saving;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let toasting;
let isRefreshDue = false;
/** Messages that a screen reader was not told of yet. @type {import('./timeline.js').Message[]} */
let unannounced = [];

/** @type {Tabs | undefined} */
let tabs;

/** The room on the screen. */
let current = /** @type {Room} */ (/** @type {unknown} */ (null));

const chat = new Chat(Manager, nameField.value, await DraftStore.open(), {
  onConnection: () => refresh(),
  onState(room) {
    if (room !== current) return;
    refresh();
    view.refresh();
  },
  onSummary(room) {
    refresh();
    saveRoomsSoon();
    if (room.newest) tabs?.tell({ room: room.name, head: room.head, message: room.newest });
  },
  onMessage: (room, message) => onMessage(room, message),
  onTimeline(room, change) {
    if (room === current) view.update(change);
  },
  onDraft(room, draft) {
    if (room === current) view.updateDraft(draft);
  },
  onPeople(room) {
    if (room === current) showPeople();
  },
  onSettled: (room) => onSettled(room),
  onNotice: (_, text) => toast(text),
});

const connection = new ConnectionView(
  {
    word: element('connection', HTMLElement),
    banner: element('trouble', HTMLElement),
    text: element('trouble-text', HTMLElement),
    when: element('trouble-when', HTMLElement),
    retry: element('reconnect', HTMLElement),
    panel: element('details-dialog', HTMLDialogElement),
    detail: (name) => element(`detail-${name}`, HTMLElement),
  },
  chat,
);

const composer = new Composer(
  {
    form: element('composer', HTMLFormElement),
    field: element('content', HTMLTextAreaElement),
    counter: element('counter', HTMLElement),
  },
  {
    onSend(content) {
      takeName(nameField.value);
      current.say(content, nameField.value);
      current.markRead(current.head);
      view.markUnread();
      view.goToEnd();
      if (chat.wouldLose) addEventListener('beforeunload', onLeaving);
    },
    onInput: (hasText) => current.tellTyping(hasText),
  },
);

const view = new MessageView(
  {
    list: element('messages', HTMLOListElement),
    scroller: element('scroller', HTMLElement),
    top: element('top', HTMLElement),
    topText: element('top-text', HTMLElement),
    topRetry: element('top-retry', HTMLElement),
    empty: element('empty', HTMLElement),
    newer: element('newer', HTMLElement),
    unread: element('unread', HTMLElement),
  },
  {
    onSeen: () => markSeen(),
    onRetry: (clientId) => current.retry(clientId),
    onDiscard: (clientId) => void discard(clientId),
    onEdit(clientId) {
      const draft = discard(clientId);
      if (draft) composer.restore(draft.content);
    },
  },
);

const list = new RoomList(element('room-list', HTMLUListElement), addressOf, (name) => goTo(name));

for (const { name, lastRead } of storedRooms()) chat.add(name, lastRead);
current = roomAtStart();

bindFrame();
showRoom(current);

tabs = new Tabs({
  onLead() {
    for (const room of chat.rooms) chat.enter(room);
    takeOverSoon();
  },
  onSummary({ room: name, head, message }) {
    const room = chat.room(name);
    if (!room) return;
    room.summary = { head, message };
    refresh();
  },
  onAsked() {
    for (const { name, head, newest } of chat.rooms) if (newest) tabs?.tell({ room: name, head, message: newest });
  },
  onGone: takeOverSoon,
});
tellWhatIsLookedAt();
/* A tab that crashed says nothing. */
setInterval(() => {
  if (tabs?.isLeader) chat.restoreDrafts();
}, ORPHANS_MS);

/* On a touch screen the focus would bring up the keyboard before anyone has asked for it. */
if (!matchMedia('(pointer: coarse)').matches) {
  if (nameField.value) composer.focus();
  else nameField.focus();
}
/* An improvement, that the page does without where there are none (plain HTTP, private windows). */
registerWorker();

/* --- rooms --------------------------------------------------------------------------------------------------------- */

/**
 * The room that an address names: /r/<room>, / for the lobby; ?room= as in links of earlier versions.
 *
 * @returns {string | null} null where it names none that can be
 */
function roomOfAddress() {
  const { pathname, searchParams } = new URL(location.href);
  const path = /^\/r\/(.+?)\/?$/.exec(pathname)?.[1];
  const name = decode(path ?? searchParams.get('room') ?? '') || LOBBY;
  if (isRoomName(name)) return name;
  setTimeout(() => toast(t.cannotBeRoom(name)));
  return null;
}

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {string} name */
function addressOf(name) {
  return name === LOBBY ? '/' : `/r/${encodeURIComponent(name)}`;
}

/** @returns {{ name: string, lastRead: number | null }[]} */
function storedRooms() {
  const stored = loadJson('rooms');
  return (Array.isArray(stored) ? stored : [])
    .filter((room) => isRoomName(String(room?.name)))
    .slice(0, ROOMS_MAX)
    .map((room) => ({ name: String(room.name), lastRead: Number.isFinite(room.lastRead) ? room.lastRead : null }));
}

function saveRooms() {
  clearTimeout(saving);
  saving = undefined;
  saveJson('rooms', chat.rooms.map(({ name, lastRead }) => ({ name, lastRead })));
}

/** What is read changes with every message. */
function saveRoomsSoon() {
  saving ??= setTimeout(saveRooms, SAVE_MS);
}

/**
 * The room of a name, which one is in from now on.
 *
 * @param {string} name
 */
function roomCalled(name) {
  const known = chat.room(name);
  if (known) return known;
  const room = chat.add(name, null);
  saveRooms();
  return room;
}

/** The room of the address, where one may be in one more. */
function roomAtStart() {
  const name = roomOfAddress() ?? LOBBY;
  const [first] = chat.rooms;
  if (chat.room(name) || !first || chat.rooms.length < ROOMS_MAX) return roomCalled(name);
  setTimeout(() => toast(t.tooManyRooms(ROOMS_MAX)));
  return first;
}

/**
 * Shows another room.
 *
 * @param {string} name
 * @param {{ isBack?: boolean }} [how] the browser has gone there by itself
 */
function goTo(name, { isBack = false } = {}) {
  if (!chat.room(name) && chat.rooms.length >= ROOMS_MAX) {
    toast(t.tooManyRooms(ROOMS_MAX));
    return;
  }
  closeRooms();
  if (name === current.name) return;
  if (!isBack) history.pushState(null, '', addressOf(name));
  current.tellTyping(false);
  current = roomCalled(name);
  showRoom(current);
  if (!matchMedia('(pointer: coarse)').matches) composer.focus();
}

/** @param {Room} room */
function showRoom(room) {
  if (location.pathname + location.search !== addressOf(room.name)) {
    history.replaceState(null, '', addressOf(room.name));
  }
  element('room', HTMLElement).textContent = room.name;
  composer.switchTo(room.name);
  view.show(room);
  chat.enter(room);
  tellWhatIsLookedAt();
  markSeen();
  showPeople();
  refresh();
}

function leave() {
  const { name } = current;
  if (current.outbox.hasUnsent && !confirm(t.leaveUnsent(name))) return;
  save(`draft.${name}`, '');
  chat.leave(current);
  const [next] = chat.rooms;
  current = roomCalled(next?.name ?? LOBBY);
  history.replaceState(null, '', addressOf(current.name));
  showRoom(current);
  saveRooms();
  toast(t.left(name));
}

/* --- what happens -------------------------------------------------------------------------------------------------- */

/**
 * @param {Room} room
 * @param {import('./timeline.js').Message} message
 */
function onMessage(room, message) {
  if (room === current) markSeen();
  if (!room.isSettled || message.isOwn) return;
  if (room === current && document.visibilityState === 'visible') announce(message);
  else if (tabs?.isLeader && !tabs.isLookedAt(room.name)) tellElsewhere(room.name, message, () => goTo(room.name));
}

/** @param {Room} room */
function onSettled(room) {
  if (room !== current) return;
  view.settle();
  markSeen();
  if (room.caughtUp > 0) toast(t.caughtUp(room.caughtUp));
}

/** What is at the end of the room on the screen counts as read, while anybody can look at it. */
function markSeen() {
  const canBeSeen = document.visibilityState === 'visible' && view.isAtEnd && current.isSettled && !current.isCatchingUp;
  if (canBeSeen) current.markRead(current.head);
}

/** A tab is gone; its lock is free a moment later. */
function takeOverSoon() {
  setTimeout(() => chat.restoreDrafts(), ORPHANS_SOON_MS);
}

function tellWhatIsLookedAt() {
  tabs?.look(document.visibilityState === 'visible' ? current.name : '');
}

/** Everything around the messages; once a frame, however much has happened. */
function refresh() {
  if (isRefreshDue) return;
  isRefreshDue = true;
  queueMicrotask(() => {
    isRefreshDue = false;
    connection.show(current);
    list.show(chat.rooms, current);
    const unread = chat.rooms.reduce((sum, room) => sum + room.unread, 0);
    const elsewhere = unread - current.unread;
    showUnread(current.name, unread);
    element('rooms-dot', HTMLElement).hidden = elsewhere === 0;
    roomsButton.setAttribute('aria-label', elsewhere === 0 ? t.openRooms : t.openRoomsUnread(elsewhere));
  });
}

function showPeople() {
  const { people, typing } = current;
  peopleButton.hidden = people === null;
  /* Somebody with two tabs is one person, as far as the names say. */
  peopleButton.textContent = people === null ? '' : t.people(people.names?.length ?? people.count);
  const line = typing.users.length === 0 ? '' : t.typing(typing.users, typing.more);
  element('typing', HTMLElement).textContent = line;

  const many = element('people-many', HTMLElement);
  many.hidden = people === null || people.names !== null;
  many.textContent = people === null ? '' : t.peopleTooMany(people.count);
  element('people-list', HTMLUListElement).replaceChildren(
    ...(people?.names ?? []).map((name) => {
      const item = document.createElement('li');
      const avatar = createPart('span', 'avatar');
      avatar.textContent = initial(name);
      avatar.dataset.hue = String(hue(name));
      avatar.setAttribute('aria-hidden', 'true');
      const text = document.createElement('span');
      text.dir = 'auto';
      text.textContent = name;
      item.append(avatar, text);
      return item;
    }),
  );
}

/** @param {import('./timeline.js').Message} message */
function announce(message) {
  unannounced.push(message);
  if (unannounced.length > 1) return;
  setTimeout(() => {
    const [only] = unannounced;
    const text = unannounced.length === 1 && only ? t.said(only.author, only.content) : t.newMessages(unannounced.length);
    element('announcer', HTMLElement).textContent = text;
    unannounced = [];
  }, ANNOUNCE_MS);
}

/** @param {string} text */
function toast(text) {
  const line = element('toast', HTMLElement);
  line.textContent = text;
  clearTimeout(toasting);
  toasting = setTimeout(() => (line.textContent = ''), TOAST_MS);
}

/* --- what people do ------------------------------------------------------------------------------------------------ */

/** @param {string} wanted */
function takeName(wanted) {
  const name = [...wanted.trim()].slice(0, NAME_CHARACTERS_MAX).join('');
  nameField.value = name;
  save('name', name);
  chat.rename(name);
}

/** @param {string} clientId */
function discard(clientId) {
  const draft = current.outbox.discard(clientId);
  if (draft) view.updateDraft(draft);
  return draft;
}

/** @param {BeforeUnloadEvent} event */
function onLeaving(event) {
  if (chat.wouldLose) event.preventDefault();
}

function openRooms() {
  document.body.toggleAttribute('data-rooms', true);
  roomsButton.setAttribute('aria-expanded', 'true');
  stage.inert = true;
  element('close-rooms', HTMLElement).focus();
}

function closeRooms() {
  if (!document.body.hasAttribute('data-rooms')) return;
  document.body.removeAttribute('data-rooms');
  roomsButton.setAttribute('aria-expanded', 'false');
  stage.inert = false;
  roomsButton.focus();
}

async function copyLink() {
  const link = new URL(addressOf(current.name), location.href).href;
  try {
    await navigator.clipboard.writeText(link);
    toast(t.linkCopied);
  } catch {
    toast(t.linkIs(link));
  }
}

function bindFrame() {
  nameField.addEventListener('change', () => takeName(nameField.value));
  nameField.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.isComposing) return;
    event.preventDefault(); /* in a form, Enter would send the message */
    takeName(nameField.value);
    composer.focus();
  });

  roomsButton.addEventListener('click', openRooms);
  element('close-rooms', HTMLElement).addEventListener('click', closeRooms);
  element('copy-link', HTMLElement).addEventListener('click', () => void copyLink());
  element('leave', HTMLElement).addEventListener('click', leave);
  peopleButton.addEventListener('click', () => element('people-dialog', HTMLDialogElement).showModal());
  for (const button of document.querySelectorAll('[data-close]')) {
    button.addEventListener('click', () => button.closest('dialog')?.close());
  }
  bindJoin();

  const fillSettings = bindSettings(
    element('settings-form', HTMLFormElement),
    element('notify-denied', HTMLElement),
    takeName,
  );
  element('open-settings', HTMLElement).addEventListener('click', () => {
    fillSettings(nameField.value);
    element('settings-dialog', HTMLDialogElement).showModal();
  });

  addEventListener('keydown', (event) => {
    /* Not the one that closes a dialog. */
    if (event.key === 'Escape' && !document.querySelector('dialog[open]')) closeRooms();
  });
  addEventListener('popstate', () => goTo(roomOfAddress() ?? LOBBY, { isBack: true }));
  addEventListener('online', () => chat.reconnect());
  addEventListener('offline', refresh);
  document.addEventListener('visibilitychange', () => {
    tellWhatIsLookedAt();
    if (document.visibilityState !== 'visible') return;
    chat.reconnect();
    view.markUnread();
    markSeen();
    chat.restoreDrafts();
  });
  addEventListener('pagehide', saveRooms);
  watch(onOtherTab);
}

function bindJoin() {
  const dialog = element('join-dialog', HTMLDialogElement);
  const form = element('join-form', HTMLFormElement);
  const field = /** @type {HTMLInputElement} */ (form.elements.namedItem('room'));
  const wrong = element('join-wrong', HTMLElement);
  element('open-join', HTMLElement).addEventListener('click', () => {
    form.reset();
    wrong.hidden = true;
    field.setAttribute('aria-invalid', 'false');
    dialog.showModal();
    field.focus();
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const name = roomOfInput(field.value.trim());
    const isGood = isRoomName(name);
    wrong.hidden = isGood;
    wrong.textContent = isGood ? '' : t.roomNameInvalid;
    field.setAttribute('aria-invalid', String(!isGood));
    if (!isGood) return;
    dialog.close();
    goTo(name);
  });
}

/**
 * What somebody enters to join: a name, or a link to a room of this server.
 *
 * @param {string} text
 */
function roomOfInput(text) {
  const path = text.startsWith(location.origin) ? text.slice(location.origin.length) : text;
  return path === '/' ? LOBBY : decode(path.replace(/^\/r\//, ''));
}

/**
 * Another tab of this browser has changed something that is kept.
 *
 * @param {string} key
 */
function onOtherTab(key) {
  if (key === 'settings') {
    reloadSettings();
  } else if (key === 'name') {
    nameField.value = load('name') ?? '';
    chat.rename(nameField.value);
  } else if (key === 'rooms') {
    const stored = storedRooms();
    for (const room of chat.rooms) {
      const isGone = room !== current && !stored.some(({ name }) => name === room.name);
      if (isGone && !room.outbox.hasUnsent) chat.leave(room);
    }
    for (const { name, lastRead } of stored) {
      const room = chat.room(name);
      if (room && lastRead !== null) room.markRead(lastRead);
      else if (!room) chat.add(name, lastRead);
    }
    if (tabs?.isLeader) chat.rooms.forEach((room) => chat.enter(room));
    refresh();
  } else {
    chat.rooms.find(({ name }) => ownKey(name) === key)?.reviseOwn();
  }
}

function registerWorker() {
  /* Trusted Types: the one address that the page hands to the browser as a script. */
  const policy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy('parley', {
    createScriptURL: () => '/sw.js',
  });
  navigator.serviceWorker?.register(policy?.createScriptURL('') ?? '/sw.js').catch(() => {});
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
