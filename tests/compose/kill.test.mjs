/**
 * Every container dies once, while people chat.
 */
import { after } from 'node:test';
import { promise } from '../integration/harness/promise.mjs';
import { Crowd } from './harness/crowd.mjs';
import { SERVICES, containers, crash, isWell, kill, up } from './harness/compose.mjs';

after(async () => {
    await up();
    await isWell();
});

promise('it_heals_by_itself_whatever_container_crashes', { timeoutMs: 300_000 }, async (t) => {
    const crowd = await Crowd.gather(t);
    for (const service of Object.keys(SERVICES))
        for (const container of await containers(service)) {
            await crash(container);
            await crowd.isHeard();
            await isWell({ [service]: SERVICES[service] });
        }
    await crowd.sawAllOfIt();
    t.diagnostic(`${crowd.said} messages, ${crowd.comebacks} comebacks`);
});

promise('the_others_go_on_when_an_operator_kills_one_of_two', { timeoutMs: 180_000 }, async (t) => {
    const crowd = await Crowd.gather(t, { people: 40, rooms: 4 });
    for (const service of ['gateway', 'store-service']) {
        const [container] = await containers(service);
        await kill(container);
        await crowd.isHeard(); // while it is still away
        await isWell({ [service]: SERVICES[service] - 1 });
        await up();
        await isWell({ [service]: SERVICES[service] });
    }
    await crowd.sawAllOfIt();
});

promise('up_brings_back_whatever_container_an_operator_killed', { timeoutMs: 180_000 }, async (t) => {
    const crowd = await Crowd.gather(t, { people: 40, rooms: 4 });
    for (const service of ['balancer', 'nats', 'postgres']) {
        const [container] = await containers(service);
        await kill(container);
        await up();
        await isWell();
        await crowd.isHeard();
    }
    await crowd.sawAllOfIt();
});
