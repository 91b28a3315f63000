/**
 * Many clients in a process of their own, which the run starts and asks:
 *
 *   settle          nobody says anything new
 *   status, heads   how many are connected, wait for an acknowledgement, or lack something of their room up to its head
 *   leave, heads    everyone leaves, and all is written
 */
import path from 'node:path';
import { Balancer } from './balancer.mjs';
import { Client, WAYS } from './client.mjs';
import { BALANCER } from './faults.mjs';
import { History } from './history.mjs';
import { Random } from './random.mjs';

/** How many of the clients are in each room, in parts of all. */
const ROOMS = { plaza: 24, market: 14, court: 10, kitchen: 6, stairs: 4, corner: 2 };

/** Everyone: name, room and way. @param {number} count */
export function population(count) {
    const rooms = Object.entries(ROOMS).flatMap(([room, share]) => Array(share).fill(room));
    const ways = Object.keys(WAYS);
    return Array.from({ length: count }, (_, i) => {
        const way = ways[i % ways.length];
        return { name: `${way} ${i}`, room: rooms[i % rooms.length], way };
    });
}

/** The file of a client's history. */
export function historyFile(folder, name) {
    return path.join(folder, 'histories', `${name.replace(/ /g, '-')}.ndjson`);
}

async function serve({ seed, folder, gateways, people }) {
    const balancer = await Balancer.open(Object.values(gateways));
    const clients = people.map((person, i) => {
        const random = new Random(seed + i);
        const history = new History(historyFile(folder, person.name));
        const doors = WAYS[person.way].balanced ? { [BALANCER]: balancer.url } : gateways;
        return new Client({ ...person, gateways: doors, random, history });
    });
    const isBehind = (client, heads) => client.position < (heads[client.room] ?? 0);
    const answers = {
        settle: () => clients.forEach((client) => client.settle()),
        status: ({ heads = {} }) => ({
            connected: clients.filter((client) => client.isConnected).length,
            pending: clients.reduce((sum, client) => sum + client.pending.size, 0),
            acknowledged: clients.reduce((sum, client) => sum + client.acknowledged, 0),
            behind: clients.filter((client) => isBehind(client, heads)).map(({ name, position }) => `${name} at ${position}`),
        }),
        leave: async ({ heads }) => {
            await Promise.all(clients.map((client) => client.leave(!isBehind(client, heads))));
        },
    };
    process.on('message', async ({ number, what, ...details }) => {
        process.send({ number, answer: await answers[what](details) });
        if (what === 'leave') process.disconnect();
    });
    process.on('disconnect', () => process.exit());
    for (const client of clients) client.live();
}

if (process.send && process.argv[1] === import.meta.filename) await serve(JSON.parse(process.argv[2]));
