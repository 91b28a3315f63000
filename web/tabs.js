/**
 * tabs.js - the tabs of one browser share the work for the rooms that none of them shows: one tab, the leader, is in all
 * rooms and tells the others what is new; it is also the one that notifies. Each tab is in the room that it shows by itself.
 *
 * Locks exist in secure contexts alone; elsewhere every tab leads itself.
 */
import { holdLock } from './draft-store.js';

const CHANNEL = 'parley';
const LEADER_LOCK = 'parley.leader';

/**
 * @typedef {{ room: string, head: number, message: import('./timeline.js').Message }} Summary
 *
 * What tabs say to each other:
 * @typedef {{ kind: 'ask' }
 *   | { kind: 'summary', summary: Summary }
 *   | { kind: 'looks', tab: string, room: string }
 *   | { kind: 'gone', tab: string }} Word  `looks`: somebody looks at that room there; '' for none
 *
 * @typedef {object} TabListeners
 * @property {() => void} onLead                        this tab is the leader from now on
 * @property {(summary: Summary) => void} onSummary     the leader tells of a room
 * @property {() => void} onAsked                       a new tab wants to know of all rooms; the leader's to answer
 * @property {() => void} onGone                        a tab is gone; what it leaves is the leader's to look for
 */

export class Tabs {
  /** @param {TabListeners} listeners */
  constructor(listeners) {
    this.#listeners = listeners;
    this.#channel.addEventListener('message', ({ data }) => this.#onWord(data));
    const lead = () => {
      this.isLeader = true;
      listeners.onLead();
    };
    if (navigator.locks) holdLock(LEADER_LOCK, lead);
    else lead();
    this.#say({ kind: 'ask' });
    addEventListener('pagehide', () => this.#say({ kind: 'gone', tab: this.#id }));
  }

  /** @type {TabListeners} */
  #listeners;
  #channel = new BroadcastChannel(CHANNEL);
  #id = Math.random().toString(36).slice(2);
  /** Rooms that somebody looks at in other tabs. @type {Map<string, string>} */
  #looked = new Map();
  #room = '';

  isLeader = false;

  /** @param {Summary} summary */
  tell(summary) {
    if (this.isLeader) this.#say({ kind: 'summary', summary });
  }

  /**
   * @param {string} room that somebody looks at in this tab; '' for none
   */
  look(room) {
    this.#room = room;
    this.#say({ kind: 'looks', tab: this.#id, room });
  }

  /** @param {string} room */
  isLookedAt(room) {
    return this.#room === room || [...this.#looked.values()].includes(room);
  }

  /** @param {Word} word */
  #onWord(word) {
    if (word.kind === 'ask') {
      this.look(this.#room);
      if (this.isLeader) this.#listeners.onAsked();
    } else if (word.kind === 'summary') {
      if (!this.isLeader) this.#listeners.onSummary(word.summary);
    } else if (word.kind === 'looks') {
      this.#looked.set(word.tab, word.room);
    } else if (word.kind === 'gone') {
      this.#looked.delete(word.tab);
      if (this.isLeader) this.#listeners.onGone();
    }
  }

  /** @param {Word} word */
  #say(word) {
    this.#channel.postMessage(word);
  }
}
