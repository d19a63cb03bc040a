#!/usr/bin/env python3
"""Shows whether a program for Linux starts on every distribution, and what protects its memory.

    tests/packages/elf.py PROGRAM [CPU]

Checks that the program is for the processor, `arm64` or `x86_64`, needs neither a loader nor a library, can be loaded at a
random address, has a stack that nothing can be executed on, and closes its relocated data. Needs nothing but Python.
"""

import struct
import sys

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_GNU_STACK, PT_GNU_RELRO = 1, 2, 3, 0x6474E551, 0x6474E552
PF_X, PF_W = 1, 2
ET_DYN = 3
DT_NEEDED = 1
CPUS = {62: "x86_64", 183: "arm64"}


def examine(content):
    if content[:6] != b"\x7fELF\x02\x01":
        raise SystemExit("it is no program for Linux of 64 bits")
    kind_of_file, cpu = struct.unpack_from("<2H", content, 16)
    headers, size, count = struct.unpack_from("<Q", content, 32)[0], *struct.unpack_from("<2H", content, 54)
    facts = {"cpu": CPUS.get(cpu, hex(cpu)), "loader": None, "libraries": 0}
    facts["address"] = "random" if kind_of_file == ET_DYN else "fixed"
    facts |= {"stack": "executable", "relocated": "writable", "writable code": 0}
    for number in range(count):
        kind, flags, offset, _, _, length = struct.unpack_from("<2I4Q", content, headers + number * size)
        if kind == PT_INTERP:
            facts["loader"] = content[offset : offset + length].rstrip(b"\0").decode()
        elif kind == PT_DYNAMIC:
            facts["libraries"] = sum(tag == DT_NEEDED for tag, _ in struct.iter_unpack("<2Q", content[offset : offset + length]))
        elif kind == PT_GNU_STACK and not flags & PF_X:
            facts["stack"] = "data only"
        elif kind == PT_GNU_RELRO:
            facts["relocated"] = "closed"
        elif kind == PT_LOAD and flags & PF_X and flags & PF_W:
            facts["writable code"] += 1
    return facts


def faults(facts, cpu=None):
    """Why the program would not start everywhere, or not be protected."""
    if cpu and facts["cpu"] != cpu:
        yield f"it is for {facts['cpu']}, not for {cpu}"
    if facts["loader"]:
        yield f"it needs the loader {facts['loader']}"
    if facts["libraries"]:
        yield f"it needs {facts['libraries']} libraries"
    if facts["address"] != "random":
        yield "its address is fixed"
    if facts["stack"] != "data only":
        yield "its stack is executable"
    if facts["relocated"] != "closed":
        yield "its relocated data stays writable"
    if facts["writable code"]:
        yield "it has code that is writable"


def main():
    with open(sys.argv[1], "rb") as file:
        facts = examine(file.read())
    for name, fact in facts.items():
        print(f"{name}: {fact}")
    found = list(faults(facts, *sys.argv[2:3]))
    for fault in found:
        print(f"fault: {fault}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
