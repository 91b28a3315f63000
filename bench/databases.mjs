/**
 * Databases of one Postgres that are appended to in turns, as lanes of a store-service do, so that whatever else the machine
 * does meets all of them: the ratio of their rates is what tells.
 */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { BIN_DIR } from '../tests/integration/harness/parley.mjs';
import { Postgres } from '../tests/integration/harness/postgres.mjs';
import { POSTGRES_IN_EARNEST } from './system.mjs';

const APPEND = `SELECT count(*) FROM parley_append($1, $2, $3, $4, $5, $6, true)`;

/** As the store-service's lanes: each room belongs to one of them. */
export const SHAPES = [
  { name: 'one room, a message an append', lanes: 1, rooms: 1, roomsOfAppend: 1 },
  { name: '1,000 rooms, 20 of them an append', lanes: 2, rooms: 1000, roomsOfAppend: 20 },
];

export class Database {
  messages = 0;
  ms = 0;

  static async open(postgres, name, shape) {
    const database = new Database();
    database.shape = shape;
    database.connect = async () => {
      const client = new pg.Client({ host: postgres.socketFolder, user: 'parley', database: name });
      await client.connect();
      return client;
    };
    database.lanes = await Promise.all(Array.from({ length: shape.lanes }, () => database.connect()));
    return database;
  }

  /** Appends on all lanes for a while, and counts. */
  async appendFor(ms) {
    const began = performance.now();
    await Promise.all(this.lanes.map((lane, number) => this.#appendUntil(lane, number, began + ms)));
    this.ms += performance.now() - began;
  }

  async #appendUntil(lane, number, end) {
    const { rooms, roomsOfAppend, lanes } = this.shape;
    const own = rooms / lanes;
    for (let at = 0; performance.now() < end; at += roomsOfAppend) {
      const places = Array.from({ length: roomsOfAppend }, (_, i) => i + 1);
      const names = places.map((place) => `room-${number * own + ((at + place) % own)}`);
      const each = (value) => places.map(() => value);
      const values = [names, places, each('anna'), each('session'), places.map(() => randomUUID()), each('x'.repeat(128))];
      await lane.query(APPEND, values);
      this.messages += roomsOfAppend;
    }
  }

  /** Messages a second since the last call. */
  takeRate() {
    const rate = (this.messages * 1000) / this.ms;
    this.messages = this.ms = 0;
    return rate;
  }

  async close() {
    await Promise.all(this.lanes.map((lane) => lane.end()));
  }
}

/** Makes databases with Parley's schema anew. */
export async function makeDatabases(postgres, names) {
  const admin = new pg.Client({ host: postgres.socketFolder, user: 'parley', database: 'postgres' });
  await admin.connect();
  for (const name of names) {
    await admin.query(`DROP DATABASE IF EXISTS ${name}`);
    await admin.query(`CREATE DATABASE ${name}`);
    const DATABASE_URL = `postgresql:///${name}?host=${postgres.socketFolder}&user=parley`;
    await promisify(execFile)(path.join(BIN_DIR, 'parley-store'), ['--new-epoch'], { env: { DATABASE_URL } });
  }
  await admin.end();
}

/** Appends to two databases in turns, `ms` each. @returns {Promise<[number, number]>} messages a second */
export async function ratesInTurns(databases, ms, turns) {
  for (let turn = 0; turn < turns; turn++) for (const [i, database] of databases.entries()) await database.appendFor(ms[i]);
  return databases.map((database) => database.takeRate());
}

/** Has `use` a Postgres that keeps what it commits; removed afterwards. */
export async function withPostgres(use) {
  const folder = await mkdtemp('/tmp/parley-bench-');
  const postgres = await Postgres.start(folder);
  try {
    await postgres.stop();
    await appendFile(path.join(postgres.data, 'postgresql.auto.conf'), POSTGRES_IN_EARNEST);
    await postgres.start();
    await use(postgres);
  } finally {
    await postgres.stop();
    await rm(folder, { recursive: true });
  }
}
