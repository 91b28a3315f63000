/**
 * Compiles the files that standard input lists with gcc -fanalyzer, as compile_commands.json says, as many at a time as there are
 * cores; prints what that finds as FILE:LINE: KIND: MESSAGE.
 *
 *     node scripts/analyze-gcc.mjs build/release/compile_commands.json <files
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';

const FINDING = /^(.*?):(\d+):\d+: warning: (.*?) (?:\[CWE-\d+\] )?\[-Wanalyzer-([a-z-]+)\]$/;

const wanted = new Set(readFileSync(0, 'utf8').trim().split('\n').map((file) => path.resolve(file)));
const commands = new Map(JSON.parse(readFileSync(process.argv[2], 'utf8')).map((each) => [each.file, each]));
const queue = [...commands.values()].filter(({ file }) => wanted.has(file));
if (queue.length === 0) throw new Error('none of these files is compiled');

/** Resolves to what gcc said of one file. */
function analyze({ file, directory, command }) {
    const args = command.split(' ').filter((arg) => !/^(-flto.*|-fno-fat-lto-objects|-Werror)$/.test(arg));
    args[args.indexOf('-o') + 1] = '/dev/null';
    const [compiler, ...rest] = [...args, '-fanalyzer', '-fdiagnostics-plain-output', '-fdiagnostics-path-format=none'];
    return new Promise((resolve, reject) => {
        const child = spawn(compiler, rest, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });
        let said = '';
        child.stderr.on('data', (data) => (said += data));
        child.once('error', reject);
        child.once('close', (code) => (code === 0 ? resolve(said) : reject(new Error(`${file}: ${said}`))));
    });
}

const findings = new Set();
await Promise.all(
    Array.from({ length: availableParallelism() }, async () => {
        for (let next = queue.pop(); next; next = queue.pop())
            for (const line of (await analyze(next)).split('\n')) {
                const [, file, number, message, kind] = FINDING.exec(line) ?? [];
                if (kind) findings.add(`${path.relative('.', file)}:${number}: ${kind}: ${message}`);
            }
    }),
);
for (const finding of [...findings].sort()) console.log(finding);
