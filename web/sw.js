/**
 * sw.js - the page without a network. Its frame is asked from the server and, where that does not answer, taken from the
 * last time; so one can look for what one wrote, and write, while everything is down. Messages are not kept here.
 *
 * Files with a version in their address never change and are kept until the frame names another version.
 */

const CACHE = 'parley';
const FRAME = '/';
const VERSIONED = /^\/-\/[0-9a-f]{16}\//;

/** A server that takes longer for the frame counts as none. */
const PATIENCE_MS = 3000;

const worker = /** @type {any} */ (self);

worker.addEventListener('install', (/** @type {any} */ event) => {
  event.waitUntil(keepFrame().then(() => worker.skipWaiting()));
});

worker.addEventListener('activate', (/** @type {any} */ event) => event.waitUntil(worker.clients.claim()));

worker.addEventListener('fetch', (/** @type {any} */ event) => {
  const { pathname, origin } = new URL(event.request.url);
  if (event.request.method !== 'GET' || origin !== location.origin) return;
  const isFrame = event.request.mode === 'navigate' && (pathname === FRAME || pathname.startsWith('/r/'));
  if (isFrame) event.respondWith(answerFrame(event));
  else if (VERSIONED.test(pathname)) event.respondWith(answerVersioned(event.request));
});

/** @param {any} event */
async function answerFrame(event) {
  const patience = new Promise((_, reject) => setTimeout(reject, PATIENCE_MS));
  try {
    const answer = await Promise.race([fetch(event.request), patience]);
    if (answer.ok) event.waitUntil(keepFrame());
    return answer;
  } catch {
    return (await caches.match(FRAME)) ?? Response.error();
  }
}

/** @param {Request} request */
async function answerVersioned(request) {
  const known = await caches.match(request);
  if (known) return known;
  const answer = await fetch(request);
  /* A gateway of another version answers too, with its own file, which is none to keep. */
  if (answer.headers.get('cache-control')?.includes('immutable')) {
    const cache = await caches.open(CACHE);
    await cache.put(request, answer.clone());
  }
  return answer;
}

/** Keeps the frame as it is now, and the files that it names; those of other versions go. */
async function keepFrame() {
  const answer = await fetch(FRAME, { cache: 'no-cache' });
  if (!answer.ok) throw new Error(`the frame is answered with ${answer.status}`);
  const text = await answer.clone().text();
  const files = new Set([...text.matchAll(/"(\/-\/[0-9a-f]{16}\/[\w./-]+)"/g)].map((match) => String(match[1])));
  const version = VERSIONED.exec([...files][0] ?? '')?.[0] ?? FRAME;
  const cache = await caches.open(CACHE);
  const known = new Set();
  for (const request of await cache.keys()) {
    const { pathname } = new URL(request.url);
    if (pathname === FRAME || pathname.startsWith(version)) known.add(pathname);
    else await cache.delete(request);
  }
  await cache.addAll([...files].filter((file) => !known.has(file)));
  await cache.put(FRAME, answer);
}
