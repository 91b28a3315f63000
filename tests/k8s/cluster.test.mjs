/**
 * What an operator of a cluster may do to Parley in the middle of the day. scripts/k8s-test has brought it up.
 */
import { before, test } from 'node:test';
import { Cluster, MINUTES_MS } from './cluster.mjs';
import { Traffic } from './traffic.mjs';
import { eventually } from '../integration/harness/wait.mjs';

const PEOPLE = 16;

const cluster = new Cluster();
let url;

before(async () => {
    await cluster.boundGateways(2, 2);
    await cluster.hasGateways(2);
    url = await cluster.gatewayUrl();
});

test('people_on_different_pods_hear_each_other', { timeout: MINUTES_MS }, async (t) => {
    const traffic = new Traffic(t, url);
    await traffic.add(PEOPLE);
    await traffic.reaches(2);
    await traffic.flows(100);
    await traffic.end();
    await traffic.wasPerfect(cluster);
});

test('scaling_gateways_from_2_to_5_and_back_loses_nothing', { timeout: 3 * MINUTES_MS }, async (t) => {
    const traffic = new Traffic(t, url);
    await traffic.add(PEOPLE);
    await cluster.boundGateways(5, 5);
    await cluster.hasGateways(5);
    await traffic.add(PEOPLE);
    await traffic.reaches(5);
    await cluster.boundGateways(2, 2);
    await cluster.hasGateways(2);
    await traffic.flows(100);
    await traffic.end();
    await traffic.wasPerfect(cluster);
});

test('rolling_everything_at_once_loses_nothing', { timeout: 4 * MINUTES_MS }, async (t) => {
    const traffic = new Traffic(t, url);
    await traffic.add(PEOPLE);
    await cluster.roll(['deployment/gateway', 'deployment/store-service', 'statefulset/nats', 'statefulset/postgres']);
    await traffic.flows(100);
    await traffic.end();
    await traffic.wasPerfect(cluster);
});

test('the_autoscaler_adds_gateways_under_load', { timeout: 3 * MINUTES_MS }, async (t) => {
    await eventually(async () => (await cluster.gatewayLoad()) < 30, 'idle gateways', MINUTES_MS);
    await cluster.boundGateways(2, 4);
    const traffic = new Traffic(t, url, 0);
    await traffic.add(4 * PEOPLE);
    await cluster.hasGateways(3, 4);
    await traffic.flows(100);
    await traffic.end();
    await traffic.wasPerfect(cluster);
});
