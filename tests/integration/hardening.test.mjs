/**
 * What makes it hard to do more than crash a service with a bug in it: how the programs were built, and how they lie in
 * memory.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { promise } from './harness/promise.mjs';
import { ownStack } from './harness/stack.mjs';

const stack = ownStack({ gateways: 1 });

/** Of elf(5). */
const ET_DYN = 3;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_GNU_STACK = 0x6474e551;
const PT_GNU_RELRO = 0x6474e552;
const [PF_X, PF_W] = [1, 2];
const DT_FLAGS_1 = 0x6ffffffbn;
const [DF_1_NOW, DF_1_PIE] = [0x1n, 0x08000000n];

/** Program headers and DT_FLAGS_1 of a 64-bit little-endian program. */
function readElf(file) {
    const bytes = readFileSync(file);
    assert.equal(bytes.subarray(0, 6).toString('latin1'), '\x7fELF\x02\x01');
    const [start, size, count] = [Number(bytes.readBigUInt64LE(32)), bytes.readUInt16LE(54), bytes.readUInt16LE(56)];
    const segments = Array.from({ length: count }, (_, i) => {
        const at = start + i * size;
        return { type: bytes.readUInt32LE(at), flags: bytes.readUInt32LE(at + 4), offset: Number(bytes.readBigUInt64LE(at + 8)), length: Number(bytes.readBigUInt64LE(at + 32)) };
    });
    const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
    let flags = 0n;
    for (let at = dynamic.offset; at < dynamic.offset + dynamic.length; at += 16)
        if (bytes.readBigUInt64LE(at) === DT_FLAGS_1) flags = bytes.readBigUInt64LE(at + 8);
    return { type: bytes.readUInt16LE(16), segments, flags, text: bytes.toString('latin1') };
}

for (const [name, programOf] of [
    ['gateway', () => stack.gateways[0]],
    ['store_service', () => stack.stores[0]],
]) {
    promise(`the_${name}_is_built_so_that_a_bug_is_hard_to_use`, { of: stack }, async () => {
        const { type, segments, flags, text } = readElf(programOf().binary);
        assert.equal(type, ET_DYN, 'it lies at another address each time');
        assert.equal(flags & DF_1_PIE, DF_1_PIE, 'and is no library');
        assert.equal(flags & DF_1_NOW, DF_1_NOW, 'all symbols are bound before it starts');
        assert.ok(segments.some((segment) => segment.type === PT_GNU_RELRO), 'and cannot be bound anew');
        assert.equal(segments.find((segment) => segment.type === PT_GNU_STACK).flags & PF_X, 0, 'its stack is not executable');
        for (const segment of segments.filter((each) => each.type === PT_LOAD))
            assert.notEqual(segment.flags & (PF_W | PF_X), PF_W | PF_X, 'nothing of it is both writable and executable');
        for (const symbol of ['__stack_chk_fail', '__snprintf_chk']) assert.ok(text.includes(symbol), symbol);
    });

    promise(`nothing_in_the_memory_of_a_running_${name}_is_both_writable_and_executable`, { of: stack }, async () => {
        const maps = readFileSync(`/proc/${programOf().child.pid}/maps`, 'utf8').trim().split('\n');
        assert.ok(maps.some((line) => / r-xp /.test(line)), 'it runs');
        assert.deepEqual(maps.filter((line) => /^\S+ .wx/.test(line)), []);
    });
}
