/** Other servers, each behind one small adapter: how it is started, and what parley-load speaks with it. */
import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Child } from '../../tests/integration/harness/child.mjs';
import { MODULE, writeConfiguration } from './nchan.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));

/** Of open files, for nginx: more than anybody may have here. */
const CONNECTIONS = 20_000;

/**
 * @typedef {object} Running
 * @property {number} port
 * @property {number} pid whose CPU time and memory count
 * @property {string} speak parley-load's --speak
 * @property {() => Promise<void>} stop
 */

/** Starts a server of this folder in Node. */
async function startNode(file, env) {
  if (!existsSync(path.join(HERE, 'node_modules/socket.io')))
    throw new Error('the peers are not installed yet: scripts/setup bench');
  const child = new Child(file, process.execPath, [path.join(HERE, file)], { env: { NODE_ENV: 'production', ...env } });
  const [, port] = await child.line(/^listening port=(\d+)/);
  return { port: Number(port), pid: child.pid, speak: 'tutorial', child, stop: () => child.end('SIGKILL') };
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The only child of a process. */
async function childOf(parent) {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent) return Number(pid);
  }
  throw new Error(`process ${parent} has no child`);
}

async function startNchanIn(folder) {
  if (!existsSync(MODULE)) throw new Error('nginx and nchan are not installed yet: scripts/setup bench');
  const port = await freePort();
  const file = await writeConfiguration(path.join(folder, 'nchan'), port, CONNECTIONS);
  const child = new Child('nchan', '/usr/sbin/nginx', ['-c', file, '-e', 'stderr']);
  await child.line(/start worker process \d+/);
  return { port, pid: await childOf(child.pid), speak: 'plain', child, stop: () => child.end('SIGTERM') };
}

export const startSocketIo = () => startNode('socket_io.mjs', {});

/** @param {import('../system.mjs').System} system whose Postgres has a database for it */
export const startTutorial = (system) => startNode('tutorial.mjs', { DATABASE_URL: system.tutorialUrl });

/** @param {import('../system.mjs').System} system whose folder it uses */
export const startNchan = (system) => startNchanIn(system.folder);
