"""The check of programs for Linux, on a program of a few bytes."""

import struct

import pytest
from elf import examine, faults


def program(cpu=62, kind=3, loader=b"", needed=0, stack=6, is_closed=True, code=5):
    """A header with segments."""
    dynamic = struct.pack("<2Q", 1, 7) * needed + struct.pack("<2Q", 0, 0)
    start = 64 + 56 * 5
    segments = [(1, code, 0, start), (2, 6, start, len(dynamic)), (0x6474E551, stack, 0, 0)]
    if is_closed:
        segments.append((0x6474E552, 4, 0, 0))
    if loader:
        segments.append((3, 4, start + len(dynamic), len(loader)))
    header = b"\x7fELF\x02\x01".ljust(16, b"\0") + struct.pack("<2HI3QI6H", kind, cpu, 1, 0, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
    table = b"".join(struct.pack("<2I6Q", segment, flags, offset, 0, 0, size, size, 0) for segment, flags, offset, size in segments)
    return (header + table).ljust(start, b"\0") + dynamic + loader


def test_a_static_program_has_no_faults():
    assert list(faults(examine(program()), "x86_64")) == []
    assert list(faults(examine(program(cpu=183)), "arm64")) == []


@pytest.mark.parametrize(
    "content, fault",
    [
        (program(cpu=183), "it is for arm64, not for x86_64"),
        (program(loader=b"/lib64/ld-linux-x86-64.so.2\0"), "it needs the loader /lib64/ld-linux-x86-64.so.2"),
        (program(needed=2), "it needs 2 libraries"),
        (program(kind=2), "its address is fixed"),
        (program(stack=7), "its stack is executable"),
        (program(is_closed=False), "its relocated data stays writable"),
        (program(code=7), "it has code that is writable"),
    ],
)
def test_each_reason_against_a_program_for_linux_is_found(content, fault):
    assert list(faults(examine(content), "x86_64")) == [fault]


def test_other_files_are_no_programs_for_linux():
    with pytest.raises(SystemExit):
        examine(b"\xcf\xfa\xed\xfe" + b"\0" * 60)
