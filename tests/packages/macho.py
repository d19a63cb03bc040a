#!/usr/bin/env python3
"""Shows what a program for macOS needs and whether its signature holds: a processor of Apple starts nothing without one.

    tests/packages/macho.py PROGRAM [CPU]

Checks the ad-hoc signature page by page, as the system does, that the program needs only libraries of the system, starts on
macOS 11, and is for the processor, `arm64` or `x86_64`. Needs nothing but Python.
"""

import hashlib
import struct
import sys

LC_LOAD_DYLIB, LC_CODE_SIGNATURE, LC_BUILD_VERSION = 0xC, 0x1D, 0x32
CPUS = {0x0100000C: "arm64", 0x01000007: "x86_64"}
# The folders that belong to the system; everything else a user would have to install.
OF_THE_SYSTEM = ("/usr/lib/", "/System/Library/")
MINIMUM = "11.0"
CS_ADHOC = 0x2


def examine(content):
    magic, cpu, _, _, count, _, _, _ = struct.unpack_from("<8I", content)
    if magic != 0xFEEDFACF:
        raise SystemExit("it is no program for macOS")
    facts = {"cpu": CPUS.get(cpu, hex(cpu)), "libraries": [], "minimum": None, "signature": "none"}
    at = 32
    for _ in range(count):
        command, size = struct.unpack_from("<2I", content, at)
        if command == LC_LOAD_DYLIB:
            name = at + struct.unpack_from("<I", content, at + 8)[0]
            facts["libraries"].append(content[name : content.index(b"\0", name)].decode())
        elif command == LC_BUILD_VERSION:
            minimum = struct.unpack_from("<I", content, at + 12)[0]
            facts["minimum"] = f"{minimum >> 16}.{minimum >> 8 & 255}"
        elif command == LC_CODE_SIGNATURE:
            offset, length = struct.unpack_from("<2I", content, at + 8)
            facts["signature"] = check_signature(content, content[offset : offset + length])
        at += size
    return facts


def check_signature(content, signature):
    """The result of comparing each page with its hash in the code directory."""
    magic, _, count = struct.unpack_from(">3I", signature)
    if magic != 0xFADE0CC0:
        return "not understood"
    for number in range(count):
        _, offset = struct.unpack_from(">2I", signature, 12 + 8 * number)
        if struct.unpack_from(">I", signature, offset)[0] == 0xFADE0C02:
            return check_pages(content, signature[offset:])
    return "without pages"


def check_pages(content, directory):
    _, _, _, flags, hashes, _, _, slots, limit = struct.unpack_from(">9I", directory)
    if not flags & CS_ADHOC:
        return "not ad hoc"
    size, kind, _, page = struct.unpack_from(">4B", directory, 36)
    if (size, kind) != (32, 2):
        return "of another hash"
    for number in range(slots):
        start = number << page
        digest = hashlib.sha256(content[start : min(start + (1 << page), limit)]).digest()
        if digest != directory[hashes + 32 * number : hashes + 32 * number + 32]:
            return f"wrong at page {number}"
    return "valid"


def faults(facts, cpu=None):
    """Why macOS would not start the program."""
    if cpu and facts["cpu"] != cpu:
        yield f"it is for {facts['cpu']}, not for {cpu}"
    if facts["minimum"] != MINIMUM:
        yield f"it is for macOS {facts['minimum']}, not for {MINIMUM}"
    for library in facts["libraries"]:
        if not library.startswith(OF_THE_SYSTEM):
            yield f"{library} is not a library of the system"
    # Only a processor of Apple needs one.
    is_needed = facts["cpu"] == "arm64" or facts["signature"] != "none"
    if is_needed and facts["signature"] != "valid":
        yield f"its signature is {facts['signature']}"


def main():
    with open(sys.argv[1], "rb") as file:
        facts = examine(file.read())
    for name, fact in facts.items():
        print(f"{name}: {', '.join(fact) if isinstance(fact, list) else fact}")
    found = list(faults(facts, *sys.argv[2:3]))
    for fault in found:
        print(f"fault: {fault}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
