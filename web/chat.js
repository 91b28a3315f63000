/**
 * chat.js - the connection to the server and the rooms that are entered over it. No DOM.
 *
 * One WebSocket (or, where a proxy lets none through, long-polling) carries all rooms: each is a Socket.IO namespace. The
 * client library's own reconnecting is off, so that people can be told when the next attempt is, and have it now.
 */
import { Room } from './room.js';

const HANDSHAKE_TIMEOUT_MS = 8000;

/** Pauses before an attempt to connect: the first, doubling to the last, each cut at random so that not all come at once. */
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 8000;

/** A gateway lets a connection be in 100 rooms at most. */
export const ROOMS_MAX = 50;

/**
 * @typedef {typeof import('socket.io-client').Manager} ManagerClass
 * @typedef {import('socket.io-client').Manager} Manager
 *
 * @typedef {'connecting' | 'open' | 'waiting'} ConnectionState
 *
 * @typedef {import('./room.js').RoomListeners} RoomListeners
 *
 * @typedef {object} ChatListeners
 * @property {() => void} onConnection  state or retryAt is another one
 */

export class Chat {
  /**
   * @param {ManagerClass} managerClass socket.io-client's Manager
   * @param {string} name               may be empty
   * @param {import('./draft-store.js').DraftStore} drafts
   * @param {ChatListeners & Omit<RoomListeners, 'onFree'>} listeners
   */
  constructor(managerClass, name, drafts, listeners) {
    this.#managerClass = managerClass;
    this.#name = name;
    this.#drafts = drafts;
    this.#listeners = listeners;
    this.#manager = this.#createManager();
  }

  /** @type {ManagerClass} */
  #managerClass;
  /** @type {import('./draft-store.js').DraftStore} */
  #drafts;
  /** @type {ChatListeners & Omit<RoomListeners, 'onFree'>} */
  #listeners;
  /** @type {Manager} */
  #manager;
  /** @type {string} */
  #name;
  /** @type {Map<string, Room>} */
  #rooms = new Map();
  #attempts = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;

  /** @type {ConnectionState} */
  state = 'connecting';
  /** When the next attempt is (Date.now()), while waiting. */
  retryAt = 0;

  get rooms() {
    return [...this.#rooms.values()];
  }

  /** @param {string} name */
  room(name) {
    return this.#rooms.get(name);
  }

  /** Whether leaving the page now would lose something that was written. */
  get wouldLose() {
    return !this.#drafts.isLasting && this.rooms.some((room) => room.outbox.hasUnsent);
  }

  /** What the connection is made of, for those who look into it; null while there is none. */
  get details() {
    const engine = /** @type {any} */ (this.#manager).engine;
    if (this.state !== 'open' || !engine) return null;
    /* A session's id begins with the id of the gateway that it is on. */
    return { transport: String(engine.transport?.name), gateway: String(engine.id).slice(0, 8) };
  }

  /**
   * Adds a room without entering it.
   *
   * @param {string} name
   * @param {number | null} lastRead as of Room
   */
  add(name, lastRead) {
    const room = new Room(name, lastRead, this.#drafts, { ...this.#listeners, onFree: () => this.#renameIfDue() });
    this.#rooms.set(name, room);
    return room;
  }

  /** @param {Room} room */
  enter(room) {
    if (room.isConnected) return;
    room.enter(this.#manager, room.authorFor(this.#name));
    void room.restoreDrafts();
  }

  /** In all rooms that were entered, takes up what was written in tabs that are gone. */
  restoreDrafts() {
    for (const room of this.rooms) if (room.isConnected) void room.restoreDrafts();
  }

  /**
   * Leaves a room for good.
   *
   * @param {Room} room
   */
  leave(room) {
    this.#rooms.delete(room.name);
    room.exit();
    room.own.forget();
    for (const { clientId } of room.outbox.drafts) this.#drafts.remove(clientId);
  }

  /**
   * Goes by another name, which takes new sessions: the name is part of the handshake. A room goes by the old one until all
   * that was written under it is sent; under another one it would be another message, and might appear twice.
   *
   * @param {string} name
   */
  rename(name) {
    this.#name = name;
    this.#renameIfDue();
  }

  /** Does not wait for the next attempt to connect; also after the server has refused or ended a session. */
  reconnect() {
    if (this.state === 'waiting') this.#attempt();
    else if (this.state === 'open' && this.rooms.some((room) => room.state === 'refused')) this.#reopen();
  }

  #renameIfDue() {
    const isDue = this.rooms.some((room) => room.isConnected && room.author !== room.authorFor(this.#name));
    if (isDue) this.#reopen();
  }

  /** New sessions for all rooms: the client library would offer the old ones' tokens over a manager used before. */
  #reopen() {
    const entered = this.rooms.filter((room) => room.isConnected);
    this.#manager.off();
    for (const room of entered) room.exit();
    clearTimeout(this.#retry);
    this.#manager = this.#createManager();
    this.#setState('connecting');
    for (const room of entered) room.enter(this.#manager, room.authorFor(this.#name));
  }

  #createManager() {
    const manager = new this.#managerClass({
      transports: ['websocket', 'polling'],
      tryAllTransports: true,
      reconnection: false,
      autoConnect: false,
      timeout: HANDSHAKE_TIMEOUT_MS,
    });
    manager.on('open', () => {
      this.#attempts = 0;
      this.#setState('open');
    });
    manager.on('error', () => this.#wait());
    manager.on('close', () => this.#wait());
    return manager;
  }

  #wait() {
    if (this.state === 'waiting') return;
    const longest = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** this.#attempts);
    const pause = longest * (0.5 + Math.random() / 2);
    this.#attempts += 1;
    this.retryAt = Date.now() + pause;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#attempt(), pause);
    this.#setState('waiting');
  }

  #attempt() {
    clearTimeout(this.#retry);
    this.#setState('connecting');
    this.#manager.open();
  }

  /** @param {ConnectionState} state */
  #setState(state) {
    this.state = state;
    this.#listeners.onConnection();
  }
}
