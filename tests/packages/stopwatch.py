#!/usr/bin/env python3
"""Stops the time from a typed line to the reply of the first tool call, for each way of installation, and prints a table.

    tests/packages/stopwatch.py DIST [--runs N]

DIST is what packaging/pack makes, such as target/dist. The packages come from servers on this machine, so that no network
is in the figures. "First" is with empty caches, "again" is the same line after that. The figures are medians.
Needs npm, curl, and the tools of `scripts/setup packages`.
"""

import argparse
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

from servers import files, npm_environment, npm_registry
from session import Server

HERE = pathlib.Path(__file__).resolve().parent
# A wheel needs a Python, and `uvx` takes this one.
UVX = HERE / ".venv/bin/uvx"
MCPB = HERE / "node_modules/.bin/mcpb"
MACHINE = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]


def stop(line, environment, folder):
    """The seconds from the line to the reply of the first call; the line gets the options of the program behind it."""
    project = pathlib.Path(tempfile.mkdtemp(dir=folder))
    began = time.monotonic()
    server = Server(["sh", "-c", f'{line} "$@"', "sh"], str(project), env=environment, cwd=project)
    try:
        server.start()
        server.call("initialize_memory_bank", path=str(project))
        took = time.monotonic() - began
        if not (project / "memory-bank/progress.md").is_file():
            raise SystemExit(f"stopwatch: `{line}` made no memory bank")
        server.end()
    finally:
        server.process.kill()
        server.process.wait()
    return took


def ways(dist, registry, address, folder):
    """Each way with its first and its second line, and their environment."""
    plain = {name: os.environ[name] for name in ["PATH"]} | {"HOME": str(folder / "home")}
    uv = {"UV_CACHE_DIR": str(folder / "uv"), "UV_DEFAULT_INDEX": f"{address}/index/", "UV_PYTHON": sys.executable}
    to = folder / "bin"
    installer = f"curl -fsS {address}/install.sh -o install.sh && sh install.sh --from {address} --to {to} >&2"
    bundle = next(path.name for path in dist.glob(f"*-linux-{MACHINE}.mcpb"))
    unpacked = folder / "bundle"
    bundled = f"{unpacked}/server/memory-bank-mcp"
    fetch = f"curl -fsS {address}/{bundle} -o {bundle} && {MCPB} unpack {bundle} {unpacked} >&2"
    npx = "exec npx -y @diazstg/memory-bank-mcp"
    uvx = f"exec {UVX} diazstg-memory-bank-mcp"
    return [
        ("`npx -y @diazstg/memory-bank-mcp`", npx, npx, npm_environment(registry, folder)),
        ("`uvx diazstg-memory-bank-mcp`", uvx, uvx, plain | uv),
        ("`install.sh`, fetched, and the program", f"{installer} && exec {to}/memory-bank-mcp", f"exec {to}/memory-bank-mcp", plain),
        ("the bundle, fetched and unpacked", f"{fetch} && exec {bundled}", f"exec {bundled}", plain),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dist", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    dist = options.dist.resolve()
    times = {}
    with tempfile.TemporaryDirectory() as served, npm_registry(dist) as registry, files(served) as address:
        for path in dist.iterdir():
            (pathlib.Path(served) / path.name).symlink_to(path)
        # As PyPI does: a folder per package with the links to its files.
        (pathlib.Path(served) / "index").mkdir()
        (pathlib.Path(served) / "index/diazstg-memory-bank-mcp").symlink_to(dist / "pypi")
        for _ in range(options.runs):
            with tempfile.TemporaryDirectory() as temporary:
                folder = pathlib.Path(temporary)
                (folder / "home").mkdir()
                for name, first, again, environment in ways(dist, registry, address, folder):
                    for which, line in [("first", first), ("again", again)]:
                        times.setdefault((name, which), []).append(stop(line, environment, folder))
    print("| Line | First | Again |\n|---|---|---|")
    for name in dict.fromkeys(name for name, _ in times):
        first, again = (f"{statistics.median(times[name, which]):.2f} s" for which in ["first", "again"])
        print(f"| {name} | {first} | {again} |")
    load = ", ".join(f"{figure:.1f}" for figure in os.getloadavg())
    tools = [subprocess.run([tool, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.split() for tool in ["node", UVX]]
    print(f"\n{options.runs} runs, {os.cpu_count()} processors, load {load}, Node.js {tools[0][-1]}, uv {tools[1][1]}.")


if __name__ == "__main__":
    main()
