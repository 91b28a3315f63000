/**
 * sw.js - the page without a network. Its frame is asked from the server and, where that does not answer, taken from the
 * last time; so one can look for what one wrote, and write, while everything is down. Messages are not kept here.
 *
 * Files with a version in their address never change and are kept until the frame names another version.
 */

/** One cache for each version; in it the frame and the files that it names. */
const CACHE_PREFIX = 'parley.';
const FRAME = '/';
const VERSIONED = /^\/-\/([0-9a-f]{16})\//;

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
    /* What a balancer says when there is no gateway behind it. */
    if (answer.status >= 500) return (await caches.match(FRAME)) ?? answer;
    if (answer.ok) event.waitUntil(keepFrame().catch(() => {})); /* the next time, then */
    return answer;
  } catch {
    return (await caches.match(FRAME)) ?? Response.error();
  }
}

/** @param {Request} request */
async function answerVersioned(request) {
  return (await caches.match(request)) ?? fetch(request);
}

/**
 * Keeps the frame as it is now, and all files that it names, or changes nothing: while versions are rolled, a gateway of
 * another one may answer for a file, with its own.
 */
async function keepFrame() {
  const frame = await fetch(FRAME, { cache: 'no-cache' });
  if (!frame.ok) throw new Error(`the frame is answered with ${frame.status}`);
  const text = await frame.clone().text();
  const files = new Set([...text.matchAll(/"(\/-\/[0-9a-f]{16}\/[\w./-]+)"/g)].map((match) => String(match[1])));
  const version = VERSIONED.exec([...files][0] ?? '')?.[1] ?? '';
  const name = CACHE_PREFIX + version;
  const cache = await caches.open(name);
  await Promise.all([...files].map((file) => keepFile(cache, file)));
  await cache.put(FRAME, frame);
  for (const other of await caches.keys()) if (other !== name) await caches.delete(other);
}

/**
 * @param {Cache} cache
 * @param {string} file
 */
async function keepFile(cache, file) {
  if (await cache.match(file)) return;
  const answer = await fetch(file);
  const isItself = answer.ok && answer.headers.get('cache-control')?.includes('immutable');
  if (!isItself) throw new Error(`${file} cannot be had`);
  await cache.put(file, answer);
}
