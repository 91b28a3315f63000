/**
 * What members that read nothing cost: 1,000 of them in a room where others talk, for five minutes.
 *
 *     node bench/stalled.mjs [members] [seconds]
 *
 * Each stalled member joins and never reads again; a ping would end it after PING_TIMEOUT, so there is none here. Eight
 * members talk, 1 KiB at a time, as fast as they are answered, and ten more listen. Prints a row at the start, when the
 * stalled ones' sockets and the room's log are full, and every fifth of the time; all is done when the last who listens
 * has all of it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { memoryOf, metric } from '../tests/integration/harness/memory.mjs';
import { someoneIn } from '../tests/integration/harness/person.mjs';
import { RawWebSocket } from '../tests/integration/harness/raw_websocket.mjs';
import { freshRoom, Stack } from '../tests/integration/harness/stack.mjs';

const TALKERS = 8;
const LISTENERS = 10;
const ROWS = 5;
const ROOM_LOG_BYTES_MAX = 4 * 1024 * 1024;
const [members = 1000, seconds = 300] = process.argv.slice(2).map(Number);

const mebibytes = (bytes) => (bytes / 1024 / 1024).toFixed(1).padStart(9);
const atEnd = [];
const t = { after: (end) => atEnd.push(end) };
const stack = new Stack();

function tell(label, memory, messages, stalled) {
  const columns = [memory.rss, memory.pss, memory.heap, memory.log, memory.outbox, memory.sockets].map(mebibytes);
  console.log([label.padEnd(8), ...columns, String(messages).padStart(9), String(stalled).padStart(8)].join(' '));
}

async function row(label, talk) {
  const metrics = await stack.gateways[0].metrics();
  tell(label, await memoryOf(stack.gateways[0]), talk.count, metric(metrics, 'parley_slow_clients'));
}

/** Talks until it is told to stop. */
async function talkAway(person, talk, text) {
  while (!talk.isOver) {
    await person.say(`${(talk.count += 1)} ${text}`);
    person.messages.length = 0; // a person writes down everything, for five minutes
    person.journal.length = 0;
  }
}

try {
  await stack.start({ gateways: 1, gatewayEnv: { PING_INTERVAL: '1h' } });
  const [gateway] = stack.gateways;
  const room = freshRoom();
  const talk = { count: 0, isOver: false };
  const talkers = await Promise.all(
    Array.from({ length: TALKERS }, () => someoneIn(t, gateway.url, { room })),
  );
  const listeners = await Promise.all(
    Array.from({ length: LISTENERS }, () => someoneIn(t, gateway.url, { room })),
  );
  const heard = listeners.map(() => 0);
  listeners.forEach((person, i) =>
    person.socket.on('chat message', (content, id) => {
      heard[i] = Number(id);
      person.messages.length = 0;
      person.journal.length = 0;
    }),
  );
  for (let i = 0; i < members; i++) (await RawWebSocket.join(t, gateway.url, room)).socket.pause();

  console.log('MiB           rss       pss      heap  room log    outbox   sockets  messages  stalled');
  await row('joined', talk);
  const text = 'x'.repeat(1000);
  const talking = talkers.map((person) => talkAway(person, talk, text));
  const isFull = (metrics) =>
    metric(metrics, 'parley_slow_clients') >= members && metric(metrics, 'parley_room_log_bytes') > 0.9 * ROOM_LOG_BYTES_MAX;
  while (!isFull(await gateway.metrics())) await sleep(1000);
  await row('start', talk);
  for (let i = 1; i <= ROWS; i++) {
    await sleep((seconds * 1000) / ROWS);
    await row(`${(seconds * i) / ROWS} s`, talk);
  }
  talk.isOver = true;
  await Promise.all(talking);
  const head = Math.max(...(await stack.rows('SELECT head::int FROM rooms WHERE name = $1', [room])).map((r) => r.head));
  while (heard.some((id) => id < head)) await sleep(100);
  console.log(`all ${LISTENERS} listeners have heard message ${head}, the last`);
} finally {
  for (const end of atEnd) end();
  await stack.stop();
}
