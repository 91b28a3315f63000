"""Runs a program under a seccomp profile, as a container runtime reads it (the OCI's LinuxSeccomp).

    under_seccomp.py PROFILE PROGRAM [ARGUMENT]...     becomes it
    under_seccomp.py PROFILE --refuses CALL...         prints those of the system calls that get ENOSYS, one a line; a CALL may
                                                       have its first arguments behind it, as in socket:17:3
"""

import ctypes
import errno
import json
import os
import sys

import seccomp

COMPARISONS = {"SCMP_CMP_EQ": seccomp.EQ, "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ}


def action_of(entry, name, number):
    if entry[name] == "SCMP_ACT_ALLOW":
        return seccomp.ALLOW
    assert entry[name] == "SCMP_ACT_ERRNO", entry[name]
    return seccomp.ERRNO(entry[number])


def argument_of(argument):
    comparison = COMPARISONS[argument["op"]]
    if comparison == seccomp.MASKED_EQ:  # the profile's value is the mask
        return seccomp.Arg(argument["index"], comparison, argument["value"], argument["valueTwo"])
    return seccomp.Arg(argument["index"], comparison, argument["value"])


def load(file):
    with open(file, encoding="utf-8") as text:
        profile = json.load(text)
    rules = seccomp.SyscallFilter(action_of(profile, "defaultAction", "defaultErrnoRet"))
    for entry in profile["syscalls"]:
        action = action_of(entry, "action", "errnoRet")
        if action == action_of(profile, "defaultAction", "defaultErrnoRet"):
            continue  # which libseccomp does not take
        for name in entry["names"]:
            rules.add_rule(action, name, *map(argument_of, entry.get("args", [])))
    rules.load()


def is_refused(call):
    name, *arguments = call.split(":")
    architecture = ctypes.c_int(seccomp.system_arch()).value  # resolve_syscall() takes a signed one
    number = seccomp.resolve_syscall(architecture, name)
    libc = ctypes.CDLL(None, use_errno=True)
    # Nonsense, so that a call that is let through does nothing.
    values = [int(value, 0) for value in arguments] + [-1] * (6 - len(arguments))
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, values))
    return result == -1 and ctypes.get_errno() == errno.ENOSYS


def main(file, program, *arguments):
    load(file)
    if program == "--refuses":
        os.write(1, "".join(f"{call}\n" for call in arguments if is_refused(call)).encode())
    else:
        os.execv(program, [program, *arguments])


main(*sys.argv[1:])
