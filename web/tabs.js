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
 * @typedef {object} TabListeners
 * @property {() => void} onLead                        this tab is the leader from now on
 * @property {(summary: Summary) => void} onSummary     the leader tells of a room
 * @property {() => void} onAsked                       a new tab wants to know of all rooms; the leader's to answer
 */

export class Tabs {
  /** @param {TabListeners} listeners */
  constructor(listeners) {
    this.#channel.addEventListener('message', ({ data }) => {
      if (data === 'ask') {
        if (this.isLeader) listeners.onAsked();
      } else if (!this.isLeader) {
        listeners.onSummary(data);
      }
    });
    const lead = () => {
      this.isLeader = true;
      listeners.onLead();
    };
    if (navigator.locks) holdLock(LEADER_LOCK, lead);
    else lead();
    this.#channel.postMessage('ask');
  }

  #channel = new BroadcastChannel(CHANNEL);

  isLeader = false;

  /** @param {Summary} summary */
  tell(summary) {
    if (this.isLeader) this.#channel.postMessage(summary);
  }
}
