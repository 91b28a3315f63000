/** The machine, what runs on it, and how quiet it was. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** CPU time of the machine since it began, in ticks: all of it, idle, and what its host gave to others (see proc(5)). */
function ticks() {
  const [, ...values] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0].split(/\s+/).map(Number);
  return { all: values.slice(0, 8).reduce((sum, value) => sum + value, 0), stolen: values[7] };
}

/** Looks at the machine now; the result tells, later, how it was meanwhile. */
export function watchMachine() {
  const [load] = loadavg();
  const before = ticks();
  return () => {
    const after = ticks();
    const stolen = (100 * (after.stolen - before.stolen)) / (after.all - before.all);
    return `- Load average before: ${load.toFixed(2)}; CPU time that the host gave to others meanwhile: ${stolen.toFixed(1)} %`;
  };
}

async function firstLine(program, ...args) {
  const { stdout, stderr } = await run(program, args).catch(() => ({ stdout: 'unknown', stderr: '' }));
  return (stdout || stderr).trim().split('\n')[0];
}

/** The version of an npm package among the peers, which may not be installed. */
function peerVersion(name) {
  try {
    const file = new URL(`peers/node_modules/${name}/package.json`, import.meta.url);
    return `${name} ${JSON.parse(readFileSync(file, 'utf8')).version}`;
  } catch {
    return `${name} not installed`;
  }
}

/** The machine, the programs and how they were run, as lines of Markdown. @param {string} folder of Postgres's data */
export async function describe(folder) {
  const postgres = `${process.env.PARLEY_POSTGRES_BIN ?? '/usr/lib/postgresql/15/bin'}/postgres`;
  const [cpu, cores, kernel, memory, disk, commit, changes, ...versions] = await Promise.all([
    firstLine('sed', '-n', 's/^model name[^:]*: //p', '/proc/cpuinfo'),
    firstLine('nproc'),
    firstLine('uname', '-sr'),
    firstLine('awk', '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }', '/proc/meminfo'),
    firstLine('findmnt', '-no', 'FSTYPE', '-T', folder),
    firstLine('git', 'rev-parse', '--short', 'HEAD'),
    firstLine('git', 'status', '--porcelain', '--', 'base', 'proto', 'gateway', 'store-service', 'bench'),
    firstLine(postgres, '--version'),
    firstLine('nats-server', '--version'),
    firstLine('dpkg-query', '-W', '-f', 'libh2o-evloop ${Version}', 'libh2o-evloop-dev'),
    firstLine('dpkg-query', '-W', '-f', 'nats.c ${Version}', 'libnats-dev'),
    firstLine('gcc', '--version'),
    firstLine('dpkg-query', '-W', '-f', 'nchan ${Version}', 'libnginx-mod-nchan'),
  ]);
  versions.push(`Node.js ${process.version}`, ...['socket.io', 'ws', 'express', 'pg'].map(peerVersion));
  const build = process.env.PARLEY_BIN_DIR ? 'programs of PARLEY_BIN_DIR, whatever they are' : 'release build';
  return [
    `- Machine: ${cpu}, ${cores} cores, ${memory}, ${kernel}; Postgres's data on ${disk}`,
    `- Parley: ${commit}${changes ? ' with uncommitted changes' : ''}, ${build}; one gateway, one store-service, default settings`,
    `- Versions: ${versions.join('; ')}`,
    process.env.BENCH_NETWORK === 'fresh'
      ? '- Network: loopback of a fresh network namespace, without connection tracking'
      : "- Network: this machine's loopback; its firewall rules, if any, cost something",
  ];
}
