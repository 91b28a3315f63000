/**
 * Prints ports that can be listened on, one a line.
 *
 *   free-ports.mjs PORT...
 *
 * "3000" must be that port: when it is taken, a sentence says so and the exit status is 1. "13000?" may be another,
 * when that one is taken or is no port at all.
 */
import net from 'node:net';

/** Listens on the port of all addresses; resolves to the server. */
function listen(port) {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen({ port, host: '0.0.0.0' }, () => resolve(server));
  });
}

async function take(wanted) {
  const isRequired = !wanted.endsWith('?');
  const port = Number.parseInt(wanted, 10);
  try {
    return await listen(port <= 65535 ? port : 0);
  } catch (error) {
    if (!isRequired) return listen(0);
    const reason = error.code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be used (${error.code})`;
    console.error(`Port ${port} ${reason}: stop that, or choose other ports, as in PORT=${(port + 10) % 60000} make run.`);
    process.exit(1);
  }
}

// All at once, so that none is given twice.
const servers = [];
for (const wanted of process.argv.slice(2)) servers.push(await take(wanted));
for (const server of servers) {
  console.log(server.address().port);
  server.close();
}
