/**
 * Does appending go on at its pace beside a transaction that holds a snapshot for long, as pg_dump does?
 *
 *     node bench/snapshot.mjs [minutes]     10, if not told otherwise; twice, for one hot room and for 1,000 rooms
 *
 * While a snapshot is held, Postgres removes no dead version of any row of that database. So there are two databases in
 * one Postgres, alike but that a REPEATABLE READ transaction is open in the first. Both are appended to in turns of
 * seconds, so that whatever else the machine does meets both; the ratio of the two rates is the result.
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

const MINUTES = Number(process.argv[2] ?? 10);

/** The database with the snapshot is written to for longer: it is its history that counts. */
const TURN_MS = { held: 4000, free: 1000 };

const APPEND = `SELECT count(*) FROM parley_append($1, $2, $3, $4, $5, $6, true)`;

/** As the store-service's lanes: each room belongs to one of them. */
const SHAPES = [
  { name: 'one room, a message an append', lanes: 1, rooms: 1, roomsOfAppend: 1 },
  { name: '1,000 rooms, 20 of them an append', lanes: 2, rooms: 1000, roomsOfAppend: 20 },
];

class Database {
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

async function measure(postgres, shape) {
  const names = ['held', 'free'];
  const admin = new pg.Client({ host: postgres.socketFolder, user: 'parley', database: 'postgres' });
  await admin.connect();
  for (const name of names) {
    await admin.query(`DROP DATABASE IF EXISTS ${name}`);
    await admin.query(`CREATE DATABASE ${name}`);
    const DATABASE_URL = `postgresql:///${name}?host=${postgres.socketFolder}&user=parley`;
    await promisify(execFile)(path.join(BIN_DIR, 'parley-store'), ['--new-epoch'], { env: { DATABASE_URL } });
  }
  await admin.end();
  const [held, free] = await Promise.all(names.map((name) => Database.open(postgres, name, shape)));
  for (const database of [held, free]) await database.appendFor(TURN_MS.held); // rooms, caches, a first page
  held.takeRate();
  free.takeRate();

  const dump = await held.connect();
  await dump.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
  await dump.query('SELECT count(*) FROM messages');
  const began = performance.now();
  for (let minute = 1; minute <= MINUTES; minute++) {
    while (performance.now() - began < minute * 60_000) {
      await held.appendFor(TURN_MS.held);
      await free.appendFor(TURN_MS.free);
    }
    const rates = [held.takeRate(), free.takeRate()];
    const [beside, alone] = rates.map((rate) => rate.toFixed(0).padStart(7));
    const ratio = (rates[0] / rates[1]).toFixed(2);
    console.log(`${shape.name}: minute ${String(minute).padStart(2)}: ${beside}/s beside the snapshot, ${alone}/s without, ratio ${ratio}`);
  }
  await dump.end();
  await Promise.all([held.close(), free.close()]);
}

const folder = await mkdtemp('/tmp/parley-bench-');
const postgres = await Postgres.start(folder);
try {
  await postgres.stop();
  await appendFile(path.join(postgres.data, 'postgresql.auto.conf'), POSTGRES_IN_EARNEST);
  await postgres.start();
  for (const shape of SHAPES) await measure(postgres, shape);
} finally {
  await postgres.stop();
  await rm(folder, { recursive: true });
}
