/**
 * chat.js - one room over Socket.IO: what arrives, what is sent, and how the connection is. No DOM.
 *
 * The room is a log with ids 1, 2, 3, …; this end of it is a cursor, the last id seen. Every connection starts with
 * "send me what follows the cursor", so that the first history, a short drop-out and a new gateway are one case.
 *
 *   out  CONNECT auth    { username, serverOffset }      serverOffset: the cursor, absent before the first message
 *        'chat message'  content, clientId, acknowledgement
 *                          { status: 'ok', id, duplicate } | { status: 'error', code, message }
 *   in   'chat message'  content, id, username, { at, clientId }, '<epoch>-<id>'
 *        'chat error'    { code, message, clientId, retryAfter }
 *        'chat gap'      { from, to, reason }
 */
import { Outbox } from './outbox.js';

/** Longer than a gateway tries to store a message, so that its own verdict comes first. */
const ACK_TIMEOUT_MS = 10_000;

/** What a room may be called. A namespace of any other name is refused by the gateway. */
const ROOM_NAME = /^[A-Za-z0-9][A-Za-z0-9_.~-]{0,63}$/;

/** The room of the namespace "/". */
export const LOBBY = 'lobby';

/**
 * @typedef {import('socket.io-client').Socket} Socket
 * @typedef {typeof import('socket.io-client').io} Connect
 * @typedef {import('./outbox.js').Draft} Draft
 *
 * @typedef {'connecting' | 'connected' | 'recovered' | 'offline'} ConnectionState
 *   `recovered`: back after a drop-out, in the same session, with everything that was missed.
 *
 * @typedef {object} Message
 * @property {string} id       decimal
 * @property {string} offset   the id with its room's epoch: names this message for ever
 * @property {string} author
 * @property {string} content
 * @property {number} at       milliseconds since 1970 UTC
 * @property {string} clientId
 * @property {boolean} isDraft it is the draft of this client id, which it replaces
 *
 * @typedef {object} Gap ids that the room will not send
 * @property {number} from
 * @property {number} to
 * @property {string} reason
 *
 * @typedef {object} ChatListeners
 * @property {(state: ConnectionState, reason: string) => void} onConnection
 *   reason: a sentence for people when offline, otherwise empty
 * @property {(message: Message) => void} onMessage  each message once, in the order of the room
 * @property {(draft: Draft) => void} onDraft  a draft has changed its state
 * @property {(gap: Gap) => void} onGap
 * @property {(text: string) => void} onNotice  the server says something about no message in particular
 */

export class Chat {
  /**
   * @param {Connect} connect socket.io-client's io()
   * @param {string} room
   * @param {string} name     may be empty
   * @param {ChatListeners} listeners
   */
  constructor(connect, room, name, listeners) {
    this.#connect = connect;
    this.#room = room;
    this.#name = name;
    this.#nextName = name;
    this.#listeners = listeners;
    this.#outbox = new Outbox({
      transmit: (draft, fail) => this.#transmit(draft, fail),
      changed: (draft) => this.#listeners.onDraft(draft),
    });
  }

  /** @type {Connect} */
  #connect;
  /** @type {string} */
  #room;
  /** @type {ChatListeners} */
  #listeners;
  /** @type {Outbox} */
  #outbox;
  /** @type {Socket | null} */
  #socket = null;
  /** @type {string} The name that this session goes by. */
  #name;
  /** @type {string} The name that the next one will; the same unless a change of names waits. */
  #nextName;
  /** @type {number | undefined} The cursor. */
  #lastId;
  #lastEpoch = 0;

  /** Whether leaving now would lose something that was written. */
  get hasUnsent() {
    return this.#outbox.hasUnsent;
  }

  /** Whether reconnect() makes sense: not in a room that cannot be. */
  get canReconnect() {
    return this.#socket !== null;
  }

  /** Enters the room, and stays in it: from here on every lost connection is replaced. */
  open() {
    if (this.#room !== LOBBY && !ROOM_NAME.test(this.#room)) {
      this.#listeners.onConnection('offline', `“${this.#room}” cannot be the name of a room.`);
      return;
    }

    const namespace = this.#room === LOBBY ? '/' : `/${this.#room}`;
    const socket = this.#connect(namespace, {
      transports: ['websocket'],
      /* A new name is a new session: the client library would offer the old one's token over a socket used before. */
      forceNew: true,
      auth: (send) => send(this.#auth()),
      reconnectionDelay: 500,
      /* The library cuts its jittered delays at this, so a fixed value would bring everyone back in the same instant. */
      reconnectionDelayMax: 4000 + Math.random() * 3000,
    });
    this.#socket = socket;
    this.#listeners.onConnection('connecting', '');
    this.#watchConnection(socket);
    socket.on('chat message', (content, id, username, details, offset) =>
      this.#onMessage(content, id, username, details, offset),
    );
    socket.on('chat error', (error) => this.#onError(error));
    socket.on('chat gap', (gap) => this.#onGap(gap));
  }

  /** Does not wait for the next attempt to connect; also after the server has refused or ended the session. */
  reconnect() {
    if (!this.#socket || this.#socket.connected) return;
    this.#listeners.onConnection('connecting', '');
    this.#socket.disconnect().connect();
  }

  /**
   * Says something. It goes as soon as there is a connection, after what was said before.
   *
   * @param {string} clientId a new one
   * @param {string} content
   * @returns {Draft}
   */
  say(clientId, content) {
    return this.#outbox.add(clientId, content);
  }

  /** @param {string} clientId of a failed draft */
  retry(clientId) {
    this.#outbox.retry(clientId);
  }

  /**
   * @param {string} clientId of a failed draft
   * @returns {Draft | undefined}
   */
  discard(clientId) {
    return this.#outbox.discard(clientId);
  }

  /**
   * Goes by another name, which takes a new session: the name is part of the handshake.
   *
   * It waits for a draft whose fate is open. Sent again under another name, that would be another message to the room,
   * and might appear twice.
   *
   * @param {string} name
   */
  rename(name) {
    this.#nextName = name;
    this.#renameIfDue();
  }

  #renameIfDue() {
    if (this.#nextName === this.#name || this.#outbox.hasUncertain) return;
    this.#name = this.#nextName;
    if (!this.#socket) return;
    this.#outbox.close();
    this.#socket.off();
    this.#socket.disconnect();
    this.open();
  }

  #auth() {
    /** @type {{ username?: string, serverOffset?: number }} */
    const auth = {};
    if (this.#name) auth.username = this.#name;
    if (this.#lastId !== undefined) auth.serverOffset = this.#lastId;
    return auth;
  }

  /** @param {Socket} socket */
  #watchConnection(socket) {
    socket.on('connect', () => {
      this.#listeners.onConnection(socket.recovered ? 'recovered' : 'connected', '');
      this.#outbox.open();
    });
    socket.on('disconnect', () => {
      this.#outbox.close();
      if (socket.active) this.#listeners.onConnection('connecting', '');
      else this.#listeners.onConnection('offline', 'The server has ended this session.');
    });
    socket.on('connect_error', (error) => {
      const reason = socket.active
        ? 'The server cannot be reached; trying again. What you write is kept.'
        : `The server lets nobody in here: ${error.message}.`;
      this.#listeners.onConnection('offline', reason);
    });
  }

  /**
   * @param {Draft} draft
   * @param {(failure: import('./outbox.js').Failure) => void} fail
   */
  #transmit(draft, fail) {
    this.#socket
      ?.timeout(ACK_TIMEOUT_MS)
      .emit(
        'chat message',
        draft.content,
        draft.clientId,
        (/** @type {Error | null} */ error, /** @type {any} */ reply) => {
          if (error) {
            fail({ code: 'timeout', message: 'The server has not answered.' });
          } else if (reply?.status === 'ok') {
            this.#outbox.acknowledged(draft.clientId, String(reply.id));
            this.#renameIfDue();
          } else {
            fail({
              code: String(reply?.code ?? 'unknown'),
              message: String(reply?.message ?? 'The server has refused it.'),
            });
            this.#renameIfDue();
          }
        },
      );
  }

  /**
   * @param {unknown} content
   * @param {unknown} id
   * @param {unknown} username
   * @param {any} details
   * @param {unknown} offset
   */
  #onMessage(content, id, username, details, offset) {
    const number = Number(id);
    const epoch = parseEpoch(offset);
    const isNew = this.#lastId === undefined || number > this.#lastId || epoch > this.#lastEpoch;
    if (!isNew) return;
    this.#lastId = number;
    this.#lastEpoch = epoch;

    const clientId = String(details?.clientId ?? '');
    this.#listeners.onMessage({
      id: String(id),
      offset: String(offset ?? id),
      author: String(username ?? ''),
      content: String(content),
      at: Number(details?.at ?? Date.now()),
      clientId,
      isDraft: this.#outbox.shown(clientId),
    });
    this.#renameIfDue();
  }

  /** @param {any} error */
  #onError(error) {
    const message = String(error?.message ?? 'Something went wrong on the server.');
    const clientId = error?.clientId;
    if (typeof clientId !== 'string') {
      this.#listeners.onNotice(message);
      return;
    }
    const retryAfter = Number.isFinite(error.retryAfter) ? error.retryAfter : undefined;
    this.#outbox.failed(clientId, { code: String(error.code), message, retryAfter });
    this.#renameIfDue();
  }

  /** @param {any} gap */
  #onGap(gap) {
    const from = Number(gap?.from);
    const to = Number(gap?.to);
    const reason = String(gap?.reason ?? '');
    /* A restored room goes on from an earlier id; all other gaps are jumped over. */
    if (reason === 'epoch') this.#lastId = Math.min(this.#lastId ?? 0, from - 1);
    else this.#lastId = Math.max(this.#lastId ?? 0, to);
    this.#listeners.onGap({ from, to, reason });
  }
}

/**
 * @param {unknown} offset "<epoch>-<id>"
 * @returns {number} 0 if it names none
 */
function parseEpoch(offset) {
  const match = /^(\d+)-\d+$/.exec(String(offset));
  return match ? Number(match[1]) : 0;
}
