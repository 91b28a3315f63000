/**
 * Every container is replaced, one after the other, while people chat.
 */
import { promise } from '../integration/harness/promise.mjs';
import { Crowd } from './harness/crowd.mjs';
import { isWell, roll } from './harness/compose.mjs';

promise('every_send_gets_through_and_every_client_recovers_while_everything_is_restarted', { timeoutMs: 300_000 }, async (t) => {
    const crowd = await Crowd.gather(t);
    await roll();
    await isWell();
    await crowd.isHeard();
    await crowd.sawAllOfIt();
    t.diagnostic(`${crowd.said} messages, ${crowd.comebacks} comebacks`);
});
