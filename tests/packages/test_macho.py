"""The check of programs for macOS, on a program of a few bytes."""

import hashlib
import struct

import pytest
from macho import examine, faults

PAGE = 12


def program(cpu=0x0100000C, minimum=11 << 16, library="/usr/lib/libSystem.B.dylib", flags=0x20002, is_signed=True):
    """A header with a library, a minimum and a signature over it."""
    name = library.encode().ljust(64, b"\0")
    commands = struct.pack("<6I", 0xC, 24 + len(name), 24, 0, 0, 0) + name
    commands += struct.pack("<6I", 0x32, 24, 1, minimum, minimum, 0)
    at = 32 + len(commands) + (16 if is_signed else 0)
    content_end = (at + 15) // 16 * 16
    pages = (content_end + (1 << PAGE) - 1) >> PAGE
    length = 20 + 44 + 32 * pages
    if is_signed:
        commands += struct.pack("<4I", 0x1D, 16, content_end, length)
    content = struct.pack("<8I", 0xFEEDFACF, cpu, 0, 2, 3 if is_signed else 2, len(commands), 0, 0) + commands
    content = content.ljust(content_end, b"\0")
    if not is_signed:
        return content
    hashes = [hashlib.sha256(content[n << PAGE : (n + 1) << PAGE]).digest() for n in range(pages)]
    directory = struct.pack(">9I4BI", 0xFADE0C02, length - 20, 0x20400, flags, 44, 0, 0, pages, content_end, 32, 2, 0, PAGE, 0)
    blob = struct.pack(">5I", 0xFADE0CC0, length, 1, 0, 20) + directory + b"".join(hashes)
    return content + blob


def test_a_program_that_macos_starts_has_no_faults():
    assert list(faults(examine(program()), "arm64")) == []
    # Processors of Intel start a program without a signature.
    assert list(faults(examine(program(cpu=0x01000007, is_signed=False)), "x86_64")) == []


@pytest.mark.parametrize(
    "content, fault",
    [
        (program(cpu=0x01000007), "it is for x86_64, not for arm64"),
        (program(minimum=15 << 16), "it is for macOS 15.0, not for 11.0"),
        (program(library="/opt/homebrew/lib/libssl.3.dylib"), "/opt/homebrew/lib/libssl.3.dylib is not a library of the system"),
        (program(is_signed=False), "its signature is none"),
        (program(flags=0), "its signature is not ad hoc"),
        (program().replace(b"libSystem", b"libXystem"), "its signature is wrong at page 0"),
    ],
)
def test_each_reason_for_which_macos_would_not_start_a_program_is_found(content, fault):
    assert list(faults(examine(content), "arm64")) == [fault]
