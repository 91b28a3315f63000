/**
 * Does appending go on at its pace beside a transaction that holds a snapshot for long, as pg_dump does?
 *
 *     node bench/snapshot.mjs [minutes]     10, if not told otherwise; twice, for one hot room and for 1,000 rooms
 *
 * While a snapshot is held, Postgres removes no dead version of any row of that database. So there are two databases in
 * one Postgres, alike but that a REPEATABLE READ transaction is open in the first.
 */
import { Database, SHAPES, makeDatabases, ratesInTurns, withPostgres } from './databases.mjs';

const MINUTES = Number(process.argv[2] ?? 10);

/** The database with the snapshot is written to for longer: it is its history that counts. */
const TURN_MS = [4000, 1000];

async function measure(postgres, shape) {
  const names = ['held', 'free'];
  await makeDatabases(postgres, names);
  const databases = await Promise.all(names.map((name) => Database.open(postgres, name, shape)));
  await ratesInTurns(databases, [TURN_MS[0], TURN_MS[0]], 1); // rooms, caches, a first page

  const dump = await databases[0].connect();
  await dump.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
  await dump.query('SELECT count(*) FROM messages');
  const turnsOfMinute = 60_000 / (TURN_MS[0] + TURN_MS[1]);
  for (let minute = 1; minute <= MINUTES; minute++) {
    const rates = await ratesInTurns(databases, TURN_MS, turnsOfMinute);
    const [beside, alone] = rates.map((rate) => rate.toFixed(0).padStart(7));
    const ratio = (rates[0] / rates[1]).toFixed(2);
    console.log(`${shape.name}: minute ${String(minute).padStart(2)}: ${beside}/s beside the snapshot, ${alone}/s without, ratio ${ratio}`);
  }
  await dump.end();
  await Promise.all(databases.map((database) => database.close()));
}

await withPostgres(async (postgres) => {
  for (const shape of SHAPES) await measure(postgres, shape);
});
