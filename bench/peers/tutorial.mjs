/**
 * The server of Socket.IO's chat tutorial, with Postgres in place of SQLite: a message is inserted, then shown to all, then
 * acknowledged; who comes back gets what the database has behind its offset. Prints "listening port=N".
 *
 *   DATABASE_URL   of a database of its own
 */
import { createServer } from 'node:http';
import express from 'express';
import morgan from 'morgan';
import pg from 'pg';
import { Server } from 'socket.io';

/** Postgres's word for a repeated client offset. */
const UNIQUE_VIOLATION = '23505';

/** More than Node's 511: thousands of clients come at once here, and that is not what is measured. */
const BACKLOG = 4096;

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
await pool.query(`
  CREATE TABLE IF NOT EXISTS messages (
    id serial PRIMARY KEY,
    client_offset text UNIQUE,
    content text
  )`);

const app = express();
app.use(morgan('combined'));
app.get('/', (request, response) => response.send('<h1>Chat</h1>'));

const server = createServer(app);
const io = new Server(server, { connectionStateRecovery: {} });

io.on('connection', async (socket) => {
  socket.on('chat message', async (text, clientOffset, callback) => {
    let id;
    try {
      const { rows } = await pool.query('INSERT INTO messages (content, client_offset) VALUES ($1, $2) RETURNING id', [
        text,
        clientOffset,
      ]);
      id = rows[0].id;
    } catch (error) {
      // Stored before: it need not be sent again. Anything else: the client will send it again.
      if (error.code === UNIQUE_VIOLATION) callback?.();
      return;
    }
    io.emit('chat message', text, id);
    callback?.();
  });

  if (socket.recovered) return;
  const offset = socket.handshake.auth.serverOffset || 0;
  const { rows } = await pool.query('SELECT id, content FROM messages WHERE id > $1 ORDER BY id', [offset]);
  for (const { id, content } of rows) socket.emit('chat message', content, id);
});

server.listen({ port: 0, host: '127.0.0.1', backlog: BACKLOG }, () => {
  console.log(`listening port=${server.address().port}`);
});
