/**
 * A Socket.IO server that hands messages on, and nothing else: no database, no recovery. Prints "listening port=N".
 *
 * What its documentation advises for speed is there: ws with its native parts (bufferutil, utf-8-validate), no
 * compression, WebSockets alone.
 */
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const BACKLOG = 4096;

const server = createServer();
const io = new Server(server, { transports: ['websocket'], serveClient: false });
let id = 0;

io.on('connection', (socket) => {
  socket.on('chat message', (text, clientOffset, callback) => {
    io.emit('chat message', text, ++id);
    callback?.();
  });
});

server.listen({ port: 0, host: '127.0.0.1', backlog: BACKLOG }, () => {
  console.log(`listening port=${server.address().port}`);
});
