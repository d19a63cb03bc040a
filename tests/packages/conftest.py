"""Packs once, from one program for this machine: packages are tested as they are shipped, never the tree."""

import os
import pathlib
import platform
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MACHINE = {"x86_64": "x86_64-unknown-linux-musl", "aarch64": "aarch64-unknown-linux-musl"}[platform.machine()]
TARGETS = [
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-musl",
    "x86_64-pc-windows-gnu",
    "aarch64-apple-darwin",
    "x86_64-apple-darwin",
]


def run(*command, check=True, **options):
    done = subprocess.run(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, **options
    )
    assert not check or done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done


@pytest.fixture(scope="session")
def version():
    line = next(line for line in (ROOT / "Cargo.toml").read_text().splitlines() if line.startswith("version = "))
    return line.split('"')[1]


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """A program for this machine: the one that is named, or the one that the tests have built. Symbols are left out, so
    that it is packed fast."""
    built = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    named = os.environ.get("MEMORY_BANK_MCP")
    candidates = [pathlib.Path(named)] if named else [built / "release/memory-bank-mcp", built / "debug/memory-bank-mcp"]
    found = next((path for path in candidates if path.exists()), None)
    assert found, f"there is no program: {candidates}; build one, or name it with MEMORY_BANK_MCP"
    copy = tmp_path_factory.mktemp("program") / "memory-bank-mcp"
    if shutil.which("strip"):
        run("strip", "-o", copy, found)
    else:
        shutil.copy(found, copy)
    return copy


@pytest.fixture(scope="session")
def dist(program, version, tmp_path_factory):
    """The packages; those for other systems hold a few bytes instead of a program."""
    folder = tmp_path_factory.mktemp("packed")
    words = []
    for target in TARGETS:
        stand_in = folder / target
        stand_in.write_text(f"stands for the program for {target}\n")
        words.append(f"{target}={program if target == MACHINE else stand_in}")
    bill = folder / f"memory-bank-mcp-{version}.cdx.json"
    bill.write_text("{}")
    run(sys.executable, ROOT / "packaging/pack", "--any-size", "--with", bill, "--out", folder / "dist", *words)
    return folder / "dist"


@pytest.fixture
def session(tmp_path):
    """Runs a whole session with a command."""

    def drive(*command, **options):
        return run(sys.executable, ROOT / "tests/packages/session.py", *command, cwd=tmp_path, **options).stdout

    return drive
