#!/usr/bin/env python3
"""Drives a server over stdio through a whole session, and two servers on one folder: that a program works on its system.

    tests/packages/session.py [--folder FOLDER] [--as FOLDER] [--setup] COMMAND [ARGUMENT ...]

The command gets `--path` and the project's folder behind its arguments. `--as` is the folder as the program calls it, where
that is another system (`Z:\\tmp\\x` under wine). `--setup` also checks what `setup` would write. Prints what was done, one line a step; the exit code is 1 if a step failed.
Needs nothing but Python.
"""

import argparse
import json
import os
import pathlib
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time

# Emulated programs are slow, and machines are busy.
TIMEOUT = float(os.environ.get("SESSION_TIMEOUT", "120"))


class Failed(Exception):
    """A step did not do what it should."""


def expect(condition, text):
    if not condition:
        raise Failed(text)


class Server:
    """A server process, spoken to in lines of JSON."""

    def __init__(self, command, folder, **options):
        self.process = subprocess.Popen(
            [*command, "--path", folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", **options,
        )
        self.replies, self.notifications, self.last = {}, queue.Queue(), 0
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                message = {"id": "stray", "error": f"not a message: {line!r}"}
            with self.changed:
                if "method" in message:
                    self.notifications.put(message)
                else:
                    self.replies[message.get("id")] = message
                self.changed.notify_all()
        with self.changed:
            self.replies["end"] = True
            self.changed.notify_all()

    def send(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def request(self, method, params=None):
        self.last += 1
        number = self.last
        self.send({"id": number, "method": method, "params": params or {}})
        return self.reply(number, method)

    def reply(self, number, what):
        with self.changed:
            arrived = self.changed.wait_for(lambda: {number, "end", "stray"} & self.replies.keys(), TIMEOUT)
            expect("stray" not in self.replies, str(self.replies.get("stray")))
            expect(arrived and number in self.replies, f"no answer to {what} (the process: {self.process.poll()})")
            reply = self.replies.pop(number)
        expect("error" not in reply, f"{what}: {reply.get('error')}")
        return reply["result"]

    def start(self):
        hello = self.request("initialize", {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "session", "version": "1"},
        })
        self.send({"method": "notifications/initialized"})
        return hello

    def call(self, tool, **arguments):
        result = self.request("tools/call", {"name": tool, "arguments": arguments})
        text = "".join(part.get("text", "") for part in result["content"])
        expect(not result.get("isError"), f"{tool}: {text}")
        return text

    def refused(self, tool, **arguments):
        result = self.request("tools/call", {"name": tool, "arguments": arguments})
        text = "".join(part.get("text", "") for part in result["content"])
        expect(result.get("isError"), f"{tool} was not refused: {text}")
        return text

    def notified(self, method, uri=None):
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                message = self.notifications.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise Failed(f"no {method} for {uri}") from None
            if message["method"] == method and (uri is None or message["params"].get("uri") == uri):
                return

    def end(self):
        """A client that is done closes the input; the server ends by itself."""
        self.process.stdin.close()
        code = self.process.wait(timeout=TIMEOUT)
        expect(code == 0, f"the server ended with {code}")


def session(command, project, named):
    """The steps of one session; `named` is the folder as the program calls it."""
    bank = project / "memory-bank"
    server = Server(command, named)
    try:
        hello = server.start()
        yield f"initialize: {hello['serverInfo']['name']} {hello['serverInfo']['version']}"
        tools = server.request("tools/list")["tools"]
        expect(any(tool["name"] == "track_progress" for tool in tools), "track_progress is not listed")
        yield f"tools/list: {len(tools)} tools"

        server.call("initialize_memory_bank", path=named)
        expect((bank / "progress.md").is_file(), "there is no progress.md")
        yield "initialize_memory_bank"

        server.call("write_memory_bank_file", filename="adr/0001-storage.md", content="# Storage\n\nWe chose the gannet.\n")
        server.call("write_memory_bank_file", filename="adr/0001-storage.md", content="# Storage\n\nWe chose the shearwater.\n")
        text = (bank / "adr/0001-storage.md").read_text(encoding="utf-8")
        expect("shearwater" in text and "gannet" not in text, f"the file has {text!r}")
        expect(os.listdir(bank / ".mbmcp/stage") == [], "a replacement left a draft behind")
        yield "write and replace"

        server.call("write_memory_bank_file", filename="adr/0001-STORAGE.MD", content="# Storage\n\nWe chose the shearwater.\n")
        expect(os.listdir(bank / "adr") == ["0001-storage.md"], f"another letter case made {os.listdir(bank / 'adr')}")
        yield "a name in another letter case is the same document"

        server.call("track_progress", action="Release", description="The puffin has landed")
        for name in ["progress.md", "active-context.md"]:
            expect("puffin" in (bank / name).read_text(encoding="utf-8"), f"{name} has no puffin")
        yield "a change of two files"

        for name in ["con.md", "nul.json", "a:b.md", "trailing. /x.md", "../out.md", "Adr/0002.md"]:
            server.refused("write_memory_bank_file", filename=name, content="x")
        expect(not (project / "out.md").exists(), "a file was made outside of the bank")
        yield "names that some system cannot hold are refused"

        found = server.call("search_memory_bank", query="shearwater")
        expect("adr/0001-storage.md" in found, f"search found {found!r}")
        yield "search"

        server.call("graph_upsert_entity", name="Auk", entityType="bird")
        server.call("graph_add_observation", entity="Auk", text="dives for sand eels")
        expect("Auk" in server.call("graph_search", query="sand eels"), "the graph does not find the observation")
        log = (bank / "graph/graph.jsonl").read_text(encoding="utf-8")
        expect("sand eels" in log, "the log has no observation")
        yield "graph"

        made = server.call("create_backup")
        backups = [name for name in os.listdir(bank / "backups") if name.startswith("memory-bank-backup-")]
        expect(len(backups) == 1, f"backups: {backups}, {made!r}")
        server.call("write_memory_bank_file", filename="adr/0001-storage.md", content="# Lost\n")
        server.call("restore_backup", backupId=backups[0])
        text = (bank / "adr/0001-storage.md").read_text(encoding="utf-8")
        expect("shearwater" in text, f"after the restore the file has {text!r}")
        yield "backup and restore"

        uri = "memory-bank://progress"
        server.request("resources/subscribe", {"uri": uri})
        draft = bank / "progress.md.swp"
        draft.write_text((bank / "progress.md").read_text(encoding="utf-8") + "- by hand\n", encoding="utf-8")
        os.replace(draft, bank / "progress.md")
        server.notified("notifications/resources/updated", uri)
        with open(bank / "adr/0001-storage.md", "a", encoding="utf-8") as file:
            file.write("by an editor\n")
        expect("by an editor" in server.call("read_memory_bank_file", filename="adr/0001-storage.md"), "an old text was read")
        yield "watch"

        other = Server(command, named)
        try:
            other.start()
            count = 8
            numbers = []
            for number in range(count):
                for name, one in [("first", server), ("second", other)]:
                    one.last += 1
                    numbers.append((one, one.last))
                    one.send({"id": one.last, "method": "tools/call", "params": {
                        "name": "add_progress_entry", "arguments": {"type": "feature", "summary": f"{name} tern {number}"},
                    }})
            for one, number in numbers:
                result = one.reply(number, "add_progress_entry")
                expect(not result.get("isError"), f"add_progress_entry: {result}")
            text = (bank / "progress.md").read_text(encoding="utf-8")
            lost = [f"{name} tern {n}" for name in ["first", "second"] for n in range(count) if f"{name} tern {n}" not in text]
            expect(lost == [], f"lost between two processes: {lost}")
            yield f"two processes wrote {2 * count} entries at the same time"
            other.end()
        finally:
            other.process.kill()
        server.end()
        yield "end"
    finally:
        server.process.kill()


def own_state(command, project, named):
    """A state folder inside of the project, as in a home folder or a service's: its keys count for this very machine."""
    (project / "home").mkdir()
    separator = "\\" if "\\" in named else "/"
    home = named + separator + "home"
    words = [*command, "--state-dir", home + separator + "state"]
    server = Server(words, home)
    try:
        server.start()
        server.call("initialize_memory_bank", path=home)
        server.call("write_memory_bank_file", filename="notes.md", content="# Notes\n\nThe skua circles.\n")
        changes = server.call("history", action="list", filename="notes.md")
        expect("write_memory_bank_file" in changes and "foreign" not in changes, f"the own version is not recognised: {changes}")
        server.end()
    finally:
        server.process.kill()
    yield "own versions where the state folder is in the project"

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = subprocess.Popen(
        [*words, "--path", home, "serve"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True, encoding="utf-8",
        env={**os.environ, "MCP_PORT": str(port)},
    )
    try:
        lines = queue.Queue()

        def read():
            for line in served.stderr:
                lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        shown, deadline = "", time.monotonic() + TIMEOUT
        while "listening" not in shown:
            try:
                line = lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise Failed(f"serve does not listen: {shown}") from None
            expect(line is not None, f"serve ended: {shown}")
            shown += line
    finally:
        served.kill()
    yield "serve with the state folder in the project"


def setup(command, project, named):
    """Checks the paths in what `setup` would write and shows; yields the step."""
    words = ["setup", "--dry-run", "--json", "--client", "claude-desktop", "--client", "claude-code"]
    for path in [[], ["--path", named]]:
        done = subprocess.run(
            [*command, *words, *path], capture_output=True, text=True, encoding="utf-8", timeout=TIMEOUT, cwd=project,
        )
        expect(done.returncode == 0, f"setup: {done.stderr}{done.stdout}")
        files = json.loads(done.stdout)["files"]
        shown = "\n".join(str(text) for file in files for text in [file["file"], file["diff"], file["message"], *file["notes"]])
        # The beginning of a canonical path on Windows, in a text or in JSON.
        expect("\\\\?\\" not in shown, f"setup writes or shows such a path: {shown}")
        desktop = next(file for file in files if file["client"] == "claude-desktop")
        expect(json.dumps(named) in desktop["diff"], f"the project is not {named}: {desktop['diff']}")
    yield "setup would write plain paths"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--as", dest="named")
    parser.add_argument("--setup", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if not options.command:
        parser.error("a command is missing")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="memory-bank-session-") as temporary:
        project = (options.folder or pathlib.Path(temporary) / "project").resolve()
        project.mkdir(parents=True, exist_ok=True)
        named = options.named or ("Z:" + str(project).replace("/", "\\") if options.command[0].startswith("wine") else str(project))
        try:
            for step in session(options.command, project, named):
                print(f"{time.monotonic() - began:7.2f} s  {step}", flush=True)
            for step in own_state(options.command, project, named):
                print(f"{time.monotonic() - began:7.2f} s  {step}", flush=True)
            for step in setup(options.command, project, named) if options.setup else []:
                print(f"{time.monotonic() - began:7.2f} s  {step}", flush=True)
        except Failed as failure:
            print(f"failed: {failure}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
