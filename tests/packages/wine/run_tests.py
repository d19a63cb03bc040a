#!/usr/bin/env python3
"""Runs tests of crates as programs for Windows, each in a process of its own and for a bounded time, under wine.

    tests/packages/wine/run_tests.py [--jobs N] [--seconds N] [FILTER ...]

A filter is a part of a test's name. Tests that need what this wine lacks are in not_possible.toml, with the reason; they
run, too, and their outcome does not count. Ends with `N passed, N failed, N not possible`; the exit code is 1 if a test
failed. WINEPREFIX names the folder of the wine; without it, it is target/wine. Needs what `scripts/setup emulators` installs.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
TARGET = "x86_64-pc-windows-gnu"
# Tests that work with files; all else is the same on every system.
CRATES = ["memory-bank-folder", "memory-bank-core"]
# Pure functions, so that one process runs them all.
IN_ONE_PROCESS = {"memory-bank-core"}


def build():
    """The test programs, with the crate that each belongs to."""
    command = [ROOT / "scripts/cross", "test", TARGET, "--no-run", "--locked", "--quiet", "--message-format", "json"]
    for crate in CRATES:
        command += ["--package", crate]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True)
    programs = []
    for line in done.stdout.splitlines():
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("executable") and message.get("profile", {}).get("test"):
            crate = pathlib.Path(message["manifest_path"]).parent.name
            programs.append((crate, pathlib.Path(message["executable"])))
    return programs


def run(command, seconds, environment):
    """The exit code and the output; no code where the time was over. The process group ends with it."""
    with tempfile.TemporaryFile(mode="w+", errors="replace") as output:
        # In the folder of the crate, as cargo does it.
        process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env=environment, cwd=ROOT / "crates/memory-bank-folder", start_new_session=True,
        )
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            code = None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        return code, output.read()


def tests_of(program, environment):
    code, text = run(["wine", program, "--list", "--format", "terse"], 120, environment)
    if code != 0:
        raise SystemExit(f"{program.name} lists no tests:\n{text}")
    names = [line.removesuffix(": test") for line in text.splitlines() if line.endswith(": test")]
    _, text = run(["wine", program, "--list", "--format", "terse", "--ignored"], 120, environment)
    ignored = {line.removesuffix(": test") for line in text.splitlines() if line.endswith(": test")}
    return [name for name in names if name not in ignored]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=900, help="the longest time of one test")
    parser.add_argument("filters", nargs="*")
    options = parser.parse_args()
    prefix = os.environ.get("WINEPREFIX", str(ROOT / "target/wine"))
    environment = {**os.environ, "WINEPREFIX": prefix, "WINEDEBUG": "-all"}
    subprocess.run([HERE / "prepare"], check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(HERE / "not_possible.toml", "rb") as file:
        reasons = tomllib.load(file)
    work = []
    for crate, program in build():
        names = [name for name in tests_of(program, environment) if not options.filters or any(part in name for part in options.filters)]
        if crate in IN_ONE_PROCESS:
            work += [(program, None, len(names))] if names and not options.filters else []
        else:
            work += [(program, name, 1) for name in names]
    unknown = set(reasons) - {name for _, name, _ in work}
    if unknown and not options.filters:
        raise SystemExit(f"not_possible.toml names tests that are not there: {', '.join(sorted(unknown))}")

    def one(item):
        program, name, count = item
        words = ["--exact", name] if name else []
        began = time.monotonic()
        code, text = run(["wine", program, *words, "--test-threads", "2"], options.seconds if name else 1800, environment)
        return item, code, text, time.monotonic() - began

    passed, failed, not_possible, slow = 0, [], [], []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for (program, name, count), code, text, seconds in pool.map(one, work):
            what = name or program.name
            if seconds > 30:
                slow.append(f"{what}: {seconds:.0f} s")
            if code == 0 and f"test result: ok. {count} passed" in text:
                passed += count
                if name in reasons:
                    print(f"passed, though not_possible.toml names it: {what}", flush=True)
                continue
            outcome = "not possible" if name in reasons else "FAILED"
            why = f"no end within {options.seconds} s" if code is None else f"exit code {code}"
            (not_possible if name in reasons else failed).append(what)
            print(f"{outcome}: {what} ({why})" + ("" if name in reasons else f"\n{text}"), flush=True)
    for line in slow:
        print(f"slow: {line}")
    print(f"{passed} passed, {len(failed)} failed, {len(not_possible)} not possible")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
