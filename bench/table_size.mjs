/**
 * Does appending depend on how large the table is?
 *
 *     node bench/table_size.mjs [millions of messages]     10, if not told otherwise; takes some minutes and 5 GB
 *
 * Two databases of one Postgres are appended to in turns: one that begins empty, and one whose 1,000 rooms hold that many
 * messages. Caches are as they are: 128 MB of Postgres's own, and what the kernel has.
 */
import { Database, SHAPES, makeDatabases, ratesInTurns, withPostgres } from './databases.mjs';

const MILLIONS = Number(process.argv[2] ?? 10);
const ROOMS = 1000;
const TURN_MS = [1000, 1000];
const TURNS = 10;
const ROUNDS = 3;

/** Rows as appending makes them; keys of duplicates are as random as its own. */
const FILL_ROOMS = `
  WITH made AS (
    INSERT INTO room_rows (name, epoch) SELECT 'room-' || n, (SELECT max(epoch) FROM epochs) FROM generate_series(0, $1 - 1) n
    RETURNING id, epoch)
  INSERT INTO room_epochs (room_id, epoch, first_id) SELECT id, epoch, 1 FROM made`;
const FILL_MESSAGES = `
  INSERT INTO messages (room_id, id, created_at, dedup_key, sender, session, client_id, body)
  SELECT r.id, n, date_trunc('milliseconds', clock_timestamp()), substring(sha256((r.id || '-' || n)::bytea) FOR 16),
    'anna', 'session', md5(r.id || '-' || n), repeat('x', 128)
  FROM room_rows r, generate_series(1, $1) n ORDER BY r.id, n`;

async function fill(database) {
  const client = await database.connect();
  await client.query(FILL_ROOMS, [ROOMS]);
  await client.query(FILL_MESSAGES, [(MILLIONS * 1_000_000) / ROOMS]);
  await client.query('VACUUM ANALYZE messages');
  await client.query('CHECKPOINT');
  await client.end();
}

await withPostgres(async (postgres) => {
  const names = ['empty', 'large'];
  await makeDatabases(postgres, names);
  for (const [i, shape] of SHAPES.entries()) {
    const databases = await Promise.all(names.map((name) => Database.open(postgres, name, shape)));
    if (i === 0) await fill(databases[1]);
    await ratesInTurns(databases, TURN_MS, 3); // rooms, caches
    for (let round = 1; round <= ROUNDS; round++) {
      const rates = await ratesInTurns(databases, TURN_MS, TURNS);
      const [few, many] = rates.map((rate) => rate.toFixed(0).padStart(7));
      console.log(`${shape.name}: ${many}/s with ${MILLIONS} million messages, ${few}/s without, ratio ${(rates[1] / rates[0]).toFixed(2)}`);
    }
    await Promise.all(databases.map((database) => database.close()));
  }
});
