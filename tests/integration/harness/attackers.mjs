/**
 * Attackers, in a process of their own: `node attackers.mjs PORT COUNT`. Each does one harm again and again, from many addresses of
 * the loopback, until the process is killed. Once a second it writes how often each did.
 */
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { OP, frame } from './raw_websocket.mjs';

const [port, count] = process.argv.slice(2).map(Number);
const ADDRESSES = 250;

const deeds = {};
const did = (what) => (deeds[what] = (deeds[what] ?? 0) + 1);

const UPGRADE = [
    'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1', 'Host: chat.example', 'Connection: Upgrade', 'Upgrade: websocket',
    'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', '', '',
].join('\r\n');

/** A connection; `ended` resolves when it is over, whoever ended it. */
function connect(i, options = {}) {
    const socket = net.connect({ port, host: '127.0.0.1', localAddress: `127.9.9.${1 + (i % ADDRESSES)}`, ...options });
    socket.on('error', () => {});
    const ended = new Promise((resolve) => socket.on('close', resolve));
    return { socket, ended };
}

/** The same, and reads all that comes. */
function reader(i) {
    const connection = connect(i);
    connection.socket.on('data', () => {});
    return connection;
}

/** Writes again and again while the connection lives and takes it, `ms` apart; for a while at most. */
async function keepWriting({ socket, ended }, next, ms, forMs = 15_000) {
    const until = Date.now() + forMs;
    for (let n = 0; !socket.destroyed && Date.now() < until; n++) {
        if (socket.writableLength < 100_000) socket.write(next(n));
        await Promise.race([pause(ms), ended]);
    }
    socket.destroy();
}

const say = (payload) => frame({ payload });

/** Resolves when `connection` has joined a room over a WebSocket, or is over. What it has not read yet is still there. */
async function join(connection, room) {
    const { socket, ended } = connection;
    socket.write(UPGRADE);
    socket.write(say(`40/${room},`));
    let heard = '';
    const joined = new Promise((resolve) => {
        socket.on('data', function listen(data) {
            heard += data.toString('latin1');
            if (!heard.includes(`40/${room},{`)) return;
            socket.off('data', listen);
            resolve();
        });
    });
    await Promise.race([joined, ended]);
    return connection;
}

const quietMember = (i, room, options) => join(connect(i, options), room);
const member = (i, room) => join(reader(i), room);

const HARMS = {
    slow_headers: (i) => keepWriting(reader(i), (n) => (n === 0 ? 'GET / HTTP/1.1\r\nX-A: ' : 'a'), 300),
    slow_body: (i) =>
        keepWriting(reader(i), (n) => (n === 0 ? 'POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n' : 'a'), 300),
    half_frames: async (i) =>
        keepWriting(await member(i, 'half'), (n) => (n === 0 ? Buffer.from([0x81, 0xfe, 0xff, 0xff, 1, 2, 3, 4]) : Buffer.from([0x41])), 300),
    endless_pings: async (i) => keepWriting(await member(i, 'pings'), () => frame({ opcode: OP.ping, payload: 'x'.repeat(100) }), 5),
    large_headers: (i) => keepWriting(reader(i), (n) => (n === 0 ? 'GET / HTTP/1.1\r\n' : `X-${n}: ${'a'.repeat(8000)}\r\n`), 50),
    large_body: (i) =>
        keepWriting(reader(i), (n) => (n === 0 ? 'POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n' : 'a'.repeat(60_000)), 50),
    large_frames: async (i) => keepWriting(await member(i, 'large'), (n) => (n === 0 ? frame({ claimedLength: 1n << 40n }) : 'a'.repeat(60_000)), 50),
    come_and_go: async (i) => {
        const { socket, ended } = reader(i);
        socket.write(UPGRADE);
        await pause(30 + Math.random() * 50);
        socket.destroy();
        await ended;
    },
    ten_thousand_rooms: async (i) =>
        keepWriting(await member(i, 'rooms'), (n) => Buffer.concat([say(`40/room-${i}-${n},`), say(`41/room-${i}-${n},`)]), 20),
    duplicate_polls: async (i) => {
        const { socket, ended } = connect(i);
        let heard = '';
        socket.on('data', (data) => (heard += data));
        socket.write('GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n');
        await Promise.race([pause(300), ended]);
        const sid = heard.match(/"sid":"([^"]+)"/)?.[1];
        const poll = `GET /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: a\r\n\r\n`;
        const other = reader(i);
        socket.write(poll);
        other.socket.write(poll);
        await Promise.race([pause(500), ended]);
        for (const one of [socket, other.socket]) one.destroy();
    },
    never_reads: async (i) => {
        const connection = await quietMember(i, 'loud');
        connection.socket.pause();
        await keepWriting(connection, () => say(`42/loud,["chat message","${'x'.repeat(5000)}"]`), 200);
    },
    reads_a_byte_at_a_time: async (i) => {
        let connection;
        const read = () => {
            pause(20).then(() => connection.socket.resume());
            return false;
        };
        connection = connect(i, { onread: { buffer: Buffer.alloc(1), callback: read } });
        connection.socket.write(UPGRADE);
        connection.socket.write(say('40/loud,'));
        await Promise.race([pause(15_000), connection.ended]);
        connection.socket.destroy();
    },
    floods: async (i) => keepWriting(await member(i, 'loud'), (n) => say(`42/loud,["chat message","${n}"]`), 5),
    asks_for_history: async (i) => keepWriting(await member(i, 'loud'), (n) => say(`42/loud,${n}["chat history",{"after":0,"limit":100}]`), 5),
    forged_tokens: async (i) =>
        keepWriting(await member(i, 'forged'), (n) => say(`40/forged-${n},{"token":"${'e'.repeat(2000)}.a.b","pid":"k.${'A'.repeat(300)}.B","offset":"1-9999999"}`), 20),
    nonsense: (i) => keepWriting(reader(i), () => Buffer.from(Array.from({ length: 2000 }, () => Math.random() * 256)), 50, 2000),
};

const names = Object.keys(HARMS);

async function attack(i) {
    const name = names[i % names.length];
    for (;;) {
        await HARMS[name](i);
        did(name);
        await pause(50 + Math.random() * 200);
    }
}

// Attackers have machines of their own: what they compute must not be taken from those whom people are on. Where Linux shares
// the processor among sessions, priorities count within one of these only: this process has to begin its own.
os.setPriority(19);
try {
    writeFileSync('/proc/self/autogroup', '19');
} catch (error) {
    if (error.code !== 'ENOENT') throw error; // a kernel that shares it among processes
}

process.on('disconnect', () => process.exit());
for (let i = 0; i < count; i++) attack(i);
setInterval(() => console.log(JSON.stringify(deeds)), 1000);
