/**
 * room.js - one room over Socket.IO: what arrives, what is sent, who is here. No DOM.
 *
 * The room is a log with ids 1, 2, 3, …; this end of it is a cursor, the last id seen. A connection that replaces another
 * starts with "send me what follows the cursor", so that a short drop-out and a new gateway are one case.
 *
 *   out  CONNECT auth    { username, presence, serverOffset }  serverOffset: the cursor, absent before the first message
 *        'chat message'  content, clientId, acknowledgement
 *                          { status: 'ok', id, duplicate } | { status: 'error', code, message }
 *        'chat history'  { before | after, limit }, callback
 *                          { status: 'ok', messages, more, head } | { status: 'error', code, message }
 *        'chat typing'   { typing }
 *   in   'chat message'  content, id, username, { at, clientId }, '<epoch>-<id>'
 *        'chat error'    { code, message, clientId, retryAfter }
 *        'chat gap'      { from, to, reason }
 *        'chat presence' { count, names }  names: only while they are few
 *        'chat typing'   { users, more }
 */
import { Outbox } from './outbox.js';
import { OwnMessages } from './storage.js';
import { t } from './strings.js';
import { Timeline } from './timeline.js';

/** Longer than a gateway tries to store a message, so that its own verdict comes first. */
const ACK_TIMEOUT_MS = 10_000;

const HISTORY_TIMEOUT_MS = 10_000;

/** Time without a message after which what was missed has arrived; where people talk all the time, the second counts. */
const SETTLE_MS = 300;
const SETTLE_MAX_MS = 3000;

/** While somebody types, this is told anew so often; the others forget it a little later. */
const TYPING_REPEAT_MS = 3000;

/** What a room may be called. A namespace of any other name is refused by the gateway. */
const ROOM_NAME = /^[A-Za-z0-9][A-Za-z0-9_.~-]{0,63}$/;

/** The room of the namespace "/". */
export const LOBBY = 'lobby';

/** @param {string} name */
export function isRoomName(name) {
  return ROOM_NAME.test(name);
}

/**
 * @typedef {import('socket.io-client').Socket} Socket
 * @typedef {import('socket.io-client').Manager} Manager
 * @typedef {import('./outbox.js').Draft} Draft
 * @typedef {import('./timeline.js').Message} Message
 * @typedef {import('./timeline.js').Change} Change
 *
 * @typedef {'joining' | 'joined' | 'recovered' | 'refused'} RoomState
 *   `recovered`: back after a drop-out, in the same session, with everything that was missed.
 *
 * @typedef {object} RoomListeners
 * @property {(room: Room) => void} onState    its state is another one
 * @property {(room: Room) => void} onSummary  its newest message or what is unread
 * @property {(room: Room, message: Message) => void} onMessage  one that was not there before, in the order of the room
 * @property {(room: Room, change: Change) => void} onTimeline
 * @property {(room: Room, draft: Draft) => void} onDraft  a draft is there, has changed its state, or is gone
 * @property {(room: Room) => void} onPeople   who is here, or typing
 * @property {(room: Room) => void} onSettled  what was missed has arrived
 * @property {(room: Room, text: string) => void} onNotice  the server says something about no message in particular
 * @property {(room: Room) => void} onFree     another name's session may be due: see Room.authorFor()
 */

export class Room {
  /**
   * @param {string} name
   * @param {number | null} lastRead id of the last message that was read; null: whatever is there at first counts as read
   * @param {import('./draft-store.js').DraftStore} drafts
   * @param {RoomListeners} listeners
   */
  constructor(name, lastRead, drafts, listeners) {
    this.name = name;
    this.lastRead = lastRead;
    this.#listeners = listeners;
    this.#drafts = drafts;
    this.own = new OwnMessages(name);
    this.timeline = new Timeline({
      fetch: (query) => this.#fetch(query),
      changed: (change) => listeners.onTimeline(this, change),
    });
    this.outbox = new Outbox({
      transmit: (draft, fail) => this.#transmit(draft, fail),
      changed: (draft) => listeners.onDraft(this, draft),
      author: () => this.#author,
      keep: ({ clientId, author, content, order, reason, hopeless }) =>
        drafts.put({ clientId, room: name, author, content, order, reason, hopeless }),
      drop: (clientId) => drafts.remove(clientId),
    });
  }

  /** @type {RoomListeners} */
  #listeners;
  /** @type {import('./draft-store.js').DraftStore} */
  #drafts;
  /** @type {Socket | null} */
  #socket = null;
  /** The name that the session goes by. */
  #author = '';
  /** @type {number | undefined} The cursor. */
  #lastId;
  #epoch = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #settling;
  /** Messages since the connection was made, while it is settling. */
  #missed = 0;
  #isReturn = false;
  #connectedAt = 0;
  #typingToldAt = 0;

  /** @type {RoomState} */
  state = 'joining';
  /** Why it was refused. */
  refusal = '';
  /** Whether what is there from before has arrived, once. */
  isSettled = false;
  /** Messages that came with the latest connection, at the time of onSettled. */
  caughtUp = 0;
  /** Who is here, or null where the gateway has not said. @type {{ count: number, names: string[] | null } | null} */
  people = null;
  /** @type {{ users: string[], more: number }} */
  typing = { users: [], more: 0 };
  /** Time between sending and committed of the last message, ms; 0 where there was none. */
  latencyMs = 0;
  /** What another tab knows of a room that this one is not connected to. @type {{ head: number, message: Message } | null} */
  summary = null;

  /** Id of the newest message; 0 where there is none. */
  get head() {
    return Math.max(this.#lastId ?? 0, this.summary?.head ?? 0);
  }

  get newest() {
    const own = this.timeline.newest;
    return this.summary && this.summary.head > (this.#lastId ?? 0) ? this.summary.message : own;
  }

  get unread() {
    return this.lastRead === null ? 0 : Math.max(0, this.head - this.lastRead);
  }

  get isConnected() {
    return this.#socket !== null;
  }

  /** Whether what was there before this connection is arriving. */
  get isCatchingUp() {
    return this.#settling !== undefined;
  }

  /** The name that a session of this room has to go by, if people are to be called @wanted. */
  authorFor(/** @type {string} */ wanted) {
    return this.outbox.next?.author ?? wanted;
  }

  get author() {
    return this.#author;
  }

  /**
   * Enters the room, over a connection that may be there or come later.
   *
   * @param {Manager} manager
   * @param {string} author
   */
  enter(manager, author) {
    this.#author = author;
    const socket = manager.socket(this.name === LOBBY ? '/' : `/${this.name}`, {
      auth: (/** @type {(auth: object) => void} */ send) => send(this.#auth()),
    });
    this.#socket = socket;
    this.#setState('joining');
    this.#watch(socket);
    socket.connect();
  }

  /** Leaves the session, if there is one. */
  exit() {
    const socket = this.#socket;
    this.#socket = null;
    this.#closed();
    socket?.off();
    socket?.disconnect();
  }

  /** Takes up what was written on a page before this one. */
  async restoreDrafts() {
    const known = new Set(this.outbox.drafts.map(({ clientId }) => clientId));
    const kept = await this.#drafts.adopt((draft) => draft.room !== this.name || known.has(draft.clientId));
    if (kept.length === 0) return;
    this.outbox.restore(kept);
    for (const draft of this.outbox.drafts) this.#listeners.onDraft(this, draft);
    this.#listeners.onFree(this);
  }

  /**
   * Says something. It goes as soon as there is a connection, after what was said before.
   *
   * @param {string} content
   * @param {string} author the name that the person has chosen
   */
  say(content, author) {
    this.#typingToldAt = 0;
    const draft = this.outbox.add(newClientId(), author, content, this.#drafts.nextOrder());
    this.#listeners.onDraft(this, draft);
    this.#listeners.onFree(this); /* as below */
  }

  /** @param {string} clientId of a failed draft */
  retry(clientId) {
    this.outbox.retry(clientId, this.#drafts.nextOrder());
    this.#listeners.onFree(this); /* it may need another name's session */
  }

  /** @param {boolean} isTyping */
  tellTyping(isTyping) {
    const now = performance.now();
    const isTold = this.#typingToldAt !== 0 && this.#typingToldAt > now - TYPING_REPEAT_MS;
    if (!this.#socket?.connected || (isTyping ? isTold : this.#typingToldAt === 0)) return;
    this.#typingToldAt = isTyping ? now : 0;
    this.#socket.emit('chat typing', { typing: isTyping });
  }

  /**
   * Everything up to @id has been seen by the person.
   *
   * @param {number} id
   */
  markRead(id) {
    if (this.lastRead !== null && id <= this.lastRead) return;
    this.lastRead = id;
    this.#listeners.onSummary(this);
  }

  /** Another tab of this browser has said something here. */
  reviseOwn() {
    this.own.reload();
    this.timeline.reviseOwn(({ id, clientId }) => this.own.has(id, clientId));
  }

  /**
   * How long a question to the room takes now.
   *
   * @returns {Promise<number>} milliseconds
   */
  async measure() {
    const begin = performance.now();
    await this.#ask({ after: this.#lastId ?? 0, limit: 1 });
    return performance.now() - begin;
  }

  #auth() {
    /** @type {{ username?: string, presence: boolean, serverOffset?: number }} */
    const auth = { presence: true };
    if (this.#author) auth.username = this.#author;
    if (this.#lastId !== undefined) auth.serverOffset = this.#lastId;
    return auth;
  }

  /** @param {Socket} socket */
  #watch(socket) {
    socket.on('connect', () => {
      this.#missed = 0;
      this.#isReturn = this.#lastId !== undefined;
      this.#connectedAt = performance.now();
      this.#setState(socket.recovered ? 'recovered' : 'joined');
      this.outbox.open();
      this.#settleSoon();
    });
    socket.on('disconnect', () => {
      this.#closed();
      if (socket.active) this.#setState('joining');
      else this.#refuse(t.sessionEnded);
    });
    socket.on('connect_error', (error) => {
      if (!socket.active) this.#refuse(t.refused(error.message));
    });
    socket.on('chat message', (content, id, username, details, offset) =>
      this.#onMessage(String(content), Number(id), String(username ?? ''), details, String(offset)),
    );
    socket.on('chat error', (error) => this.#onError(error));
    socket.on('chat gap', (gap) => this.#onGap(gap));
    socket.on('chat presence', (people) => this.#onPresence(people));
    socket.on('chat typing', (typing) => this.#onTyping(typing));
  }

  #closed() {
    clearTimeout(this.#settling);
    this.#settling = undefined;
    this.outbox.close();
    this.#typingToldAt = 0;
    this.people = null;
    this.typing = { users: [], more: 0 };
    this.#listeners.onPeople(this);
  }

  /** @param {RoomState} state */
  #setState(state) {
    this.state = state;
    this.#listeners.onState(this);
  }

  /** @param {string} reason */
  #refuse(reason) {
    this.refusal = reason;
    this.#setState('refused');
  }

  /** What was missed comes at once, and has come when nothing follows. */
  #settleSoon() {
    clearTimeout(this.#settling);
    const longest = this.#connectedAt + SETTLE_MAX_MS - performance.now();
    this.#settling = setTimeout(() => this.#settle(), Math.max(0, Math.min(SETTLE_MS, longest)));
  }

  #settle() {
    clearTimeout(this.#settling);
    this.#settling = undefined;
    this.isSettled = true;
    this.caughtUp = this.#isReturn ? this.#missed : 0;
    if (this.lastRead === null) this.markRead(this.head);
    this.#listeners.onSettled(this);
  }

  /**
   * @param {Draft} draft
   * @param {(failure: import('./outbox.js').Failure) => void} fail
   */
  #transmit(draft, fail) {
    const begin = performance.now();
    /** @type {(error: Error | null, reply: any) => void} */
    const onReply = (error, reply) => {
      if (error) {
        fail({ code: 'timeout', message: t.noAnswer });
      } else if (reply?.status === 'ok') {
        this.latencyMs = performance.now() - begin;
        this.#onStored(draft, Number(reply.id));
      } else {
        fail({ code: String(reply?.code ?? 'unknown'), message: String(reply?.message ?? t.refusedMessage) });
      }
      this.#listeners.onFree(this);
    };
    this.#socket?.timeout(ACK_TIMEOUT_MS).emit('chat message', draft.content, draft.clientId, onReply);
  }

  /**
   * @param {Draft} draft
   * @param {number} id
   */
  #onStored(draft, id) {
    /* A draft of an earlier page may stand far up in the log already. */
    if (id <= (this.#lastId ?? 0)) {
      this.own.add(id, draft.clientId);
      this.timeline.reviseOwn((message) => this.own.has(message.id, message.clientId));
      if (this.outbox.shown(draft.clientId, draft.content)) this.#listeners.onDraft(this, draft);
    } else {
      this.outbox.acknowledged(draft.clientId, id);
    }
  }

  /**
   * @param {string} content
   * @param {number} id
   * @param {string} author
   * @param {any} details
   * @param {string} offset
   */
  #onMessage(content, id, author, details, offset) {
    const epoch = parseEpoch(offset);
    const isNew = this.#lastId === undefined || id > this.#lastId || epoch > this.#epoch;
    if (!isNew) return;
    this.#lastId = id;
    this.#epoch = epoch;
    if (this.#settling !== undefined) {
      this.#missed += 1;
      this.#settleSoon();
    }

    const clientId = String(details?.clientId ?? '');
    const draft = this.outbox.drafts.find((each) => each.clientId === clientId);
    const isDraft = this.outbox.shown(clientId, content);
    if (isDraft) this.own.add(id, clientId);
    const message = {
      id,
      author,
      content,
      at: Number(details?.at ?? Date.now()),
      clientId,
      isOwn: isDraft || this.own.has(id, clientId),
    };
    this.timeline.add(message);
    if (isDraft && draft) this.#listeners.onDraft(this, draft);
    if (isDraft) this.#onOwnMessage(id);
    this.#listeners.onMessage(this, message);
    this.#listeners.onSummary(this);
    if (isDraft) this.#listeners.onFree(this);
  }

  /**
   * Who speaks has read, and what follows is new.
   *
   * @param {number} id
   */
  #onOwnMessage(id) {
    if (this.#settling !== undefined) this.#settle();
    this.markRead(id);
  }

  /** @param {any} error */
  #onError(error) {
    const message = String(error?.message ?? t.serverTrouble);
    const clientId = error?.clientId;
    if (typeof clientId !== 'string') {
      this.#listeners.onNotice(this, message);
      return;
    }
    const retryAfter = Number.isFinite(error.retryAfter) ? error.retryAfter : undefined;
    this.outbox.failed(clientId, { code: String(error.code), message, retryAfter });
    this.#listeners.onFree(this);
  }

  /** @param {any} gap */
  #onGap(gap) {
    const from = Number(gap?.from);
    const to = Number(gap?.to);
    /* A restored room goes on from an earlier id; all other gaps are jumped over. */
    if (gap?.reason === 'epoch') {
      this.#lastId = Math.min(this.#lastId ?? 0, from - 1);
      this.lastRead = Math.min(this.lastRead ?? 0, from - 1);
      this.timeline.cut(from);
      this.#listeners.onNotice(this, t.restored);
    } else {
      this.#lastId = Math.max(this.#lastId ?? 0, to);
      this.timeline.leap();
    }
  }

  /** @param {any} people */
  #onPresence(people) {
    const names = Array.isArray(people?.names) ? people.names.map(String) : null;
    this.people = { count: Number(people?.count), names };
    this.#listeners.onPeople(this);
  }

  /** @param {any} typing */
  #onTyping(typing) {
    const users = Array.isArray(typing?.users) ? typing.users.map(String) : [];
    this.typing = { users, more: Number(typing?.more ?? 0) };
    this.#listeners.onPeople(this);
  }

  /**
   * @param {import('./timeline.js').Place & { limit: number }} query
   * @returns {Promise<import('./timeline.js').Page>}
   */
  async #fetch(query) {
    const reply = await this.#ask(query);
    return {
      more: Boolean(reply.more),
      messages: reply.messages.map((/** @type {any} */ message) => {
        const id = Number(message.id);
        const clientId = String(message.clientId ?? '');
        return {
          id,
          author: String(message.username ?? ''),
          content: String(message.content),
          at: Number(message.at),
          clientId,
          isOwn: this.own.has(id, clientId),
        };
      }),
    };
  }

  /** @param {object} query */
  async #ask(query) {
    if (!this.#socket?.connected) throw new Error('not connected');
    const reply = await this.#socket.timeout(HISTORY_TIMEOUT_MS).emitWithAck('chat history', query);
    if (reply?.status !== 'ok') throw new Error(String(reply?.message));
    return reply;
  }
}

/**
 * @param {string} offset "<epoch>-<id>"
 * @returns {number} 0 if it names none
 */
function parseEpoch(offset) {
  const match = /^(\d+)-\d+$/.exec(offset);
  return match ? Number(match[1]) : 0;
}

/**
 * A new client id: a random UUID (RFC 9562, version 4).
 *
 * crypto.randomUUID exists in secure contexts alone, which a page served over plain HTTP to another machine of the
 * local network is not; crypto.getRandomValues exists everywhere.
 *
 * @returns {string}
 */
function newClientId() {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID();

  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const marked = bytes.map((byte, i) => (i === 6 ? (byte & 0x0f) | 0x40 : i === 8 ? (byte & 0x3f) | 0x80 : byte));
  const hex = Array.from(marked, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
