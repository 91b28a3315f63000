/**
 * Attackers, in a process of their own: `node attackers.mjs PORT COUNT`. Each does one harm again and again, from many addresses of
 * the loopback, until the process is killed. Once a second it writes how often each did.
 */
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
function connect(i, { reads = true } = {}) {
    const socket = net.connect({ port, host: '127.0.0.1', localAddress: `127.9.9.${1 + (i % ADDRESSES)}` });
    socket.on('error', () => {});
    if (reads) socket.on('data', () => {});
    const ended = new Promise((resolve) => socket.on('close', resolve));
    return { socket, ended };
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

/** Joins a room over a WebSocket of its own. */
function member(i, room, options) {
    const connection = connect(i, options);
    connection.socket.write(UPGRADE);
    connection.socket.write(say(`40/${room},`));
    return connection;
}

const HARMS = {
    slow_headers: (i) => keepWriting(connect(i), (n) => (n === 0 ? 'GET / HTTP/1.1\r\nX-A: ' : 'a'), 300),
    slow_body: (i) =>
        keepWriting(connect(i), (n) => (n === 0 ? 'POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n' : 'a'), 300),
    half_frames: (i) => keepWriting(member(i, 'half'), (n) => (n === 0 ? Buffer.from([0x81, 0xfe, 0xff, 0xff, 1, 2, 3, 4]) : Buffer.from([0x41])), 300),
    endless_pings: (i) => keepWriting(member(i, 'pings'), () => frame({ opcode: OP.ping, payload: 'x'.repeat(100) }), 5),
    large_headers: (i) => keepWriting(connect(i), (n) => (n === 0 ? 'GET / HTTP/1.1\r\n' : `X-${n}: ${'a'.repeat(8000)}\r\n`), 50),
    large_body: (i) =>
        keepWriting(connect(i), (n) => (n === 0 ? 'POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n' : 'a'.repeat(60_000)), 50),
    large_frames: (i) => keepWriting(member(i, 'large'), (n) => (n === 0 ? frame({ claimedLength: 1n << 40n }) : 'a'.repeat(60_000)), 50),
    come_and_go: async (i) => {
        const { socket, ended } = connect(i);
        socket.write(UPGRADE);
        await pause(30 + Math.random() * 50);
        socket.destroy();
        await ended;
    },
    ten_thousand_rooms: (i) => keepWriting(member(i, 'rooms'), (n) => Buffer.concat([say(`40/room-${i}-${n},`), say(`41/room-${i}-${n},`)]), 20),
    duplicate_polls: async (i) => {
        const { socket, ended } = connect(i, { reads: false });
        let heard = '';
        socket.on('data', (data) => (heard += data));
        socket.write('GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n');
        await Promise.race([pause(300), ended]);
        const sid = heard.match(/"sid":"([^"]+)"/)?.[1];
        const poll = `GET /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: a\r\n\r\n`;
        const other = connect(i);
        socket.write(poll);
        other.socket.write(poll);
        await Promise.race([pause(500), ended]);
        for (const one of [socket, other.socket]) one.destroy();
    },
    never_reads: async (i) => {
        const { socket, ended } = member(i, 'loud', { reads: false });
        socket.pause();
        await Promise.race([keepWriting({ socket, ended }, () => say(`42/loud,["chat message","${'x'.repeat(5000)}"]`), 200), ended]);
    },
    floods: (i) => keepWriting(member(i, 'loud'), (n) => say(`42/loud,["chat message","${n}"]`), 5),
    asks_for_history: (i) => keepWriting(member(i, 'loud'), (n) => say(`42/loud,${n}["chat history",{"after":0,"limit":100}]`), 5),
    forged_tokens: (i) =>
        keepWriting(member(i, 'forged'), (n) => say(`40/forged-${n},{"token":"${'e'.repeat(2000)}.a.b","pid":"k.${'A'.repeat(300)}.B","offset":"1-9999999"}`), 20),
    nonsense: (i) => keepWriting(connect(i), () => Buffer.from(Array.from({ length: 2000 }, () => Math.random() * 256)), 50, 2000),
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

// Attackers have machines of their own: what they compute must not be taken from those whom people are on.
os.setPriority(19);

process.on('disconnect', () => process.exit());
for (let i = 0; i < count; i++) attack(i);
setInterval(() => console.log(JSON.stringify(deeds)), 1000);
