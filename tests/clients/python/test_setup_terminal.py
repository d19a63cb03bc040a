"""`setup` on a terminal: what it asks, what answers do, and what a signal leaves."""

import os
import pty
import select
import signal
import termios
import time

import pytest

from http_server import BINARY

WAIT = 60
KEY = "mbmcp_live_" + "k" * 32

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a pseudo-terminal")


class Terminal:
    """The binary on a pseudo-terminal."""

    def __init__(self, home, arguments):
        project = home / "shop"
        project.mkdir(exist_ok=True)
        self.shown = ""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(project)
            environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "TERM": "dumb"}
            os.execve(BINARY, [str(BINARY), "setup", *arguments], environment)

    def until(self, text):
        """Reads until `text` was shown, or to the end without one."""
        end = time.monotonic() + WAIT
        while text is None or text not in self.shown:
            left = end - time.monotonic()
            assert left > 0, f"{text!r} did not come: {self.shown}"
            if not select.select([self.terminal], [], [], left)[0]:
                continue
            try:
                data = os.read(self.terminal, 65536)
            except OSError:
                data = b""
            if not data:
                assert text is None, f"{text!r} did not come: {self.shown}"
                return
            self.shown += data.decode()

    def answer(self, text):
        self.shown = ""
        os.write(self.terminal, f"{text}\n".encode())

    def hides(self):
        return not termios.tcgetattr(self.terminal)[3] & termios.ECHO

    def ends(self):
        self.until(None)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.terminal)
        return code


def test_each_file_is_confirmed_and_no_changes_nothing(tmp_path):
    cursor = tmp_path / ".cursor" / "mcp.json"
    zed = tmp_path / ".config" / "zed" / "settings.json"
    for file in (cursor, zed):
        file.parent.mkdir(parents=True)
        file.write_text("{}")
    terminal = Terminal(tmp_path, ["--no-hooks"])
    terminal.until("Write it? [Y/n] ")
    assert '+    "memory-bank": {' in terminal.shown
    terminal.answer("n")
    terminal.until("Write it? [Y/n] ")
    terminal.answer("")
    assert terminal.ends() == 0, terminal.shown
    assert cursor.read_text() == "{}"
    assert "memory-bank" in zed.read_text()
    assert "3 checked" in terminal.shown, "doctor has run, without a word about hooks that were not asked for"


def test_hooks_are_confirmed_by_themselves_and_only_with_the_server(tmp_path):
    cursor = tmp_path / ".cursor" / "mcp.json"
    hooks = tmp_path / ".cursor" / "hooks.json"
    cursor.parent.mkdir()
    cursor.write_text("{}")
    terminal = Terminal(tmp_path, [])
    terminal.until("Write it? [Y/n] ")
    terminal.answer("n")
    assert terminal.ends() == 0, terminal.shown
    assert "no hooks are added, since the server was not added" in terminal.shown
    for answer, are_added in (("n", False), ("y", True)):
        terminal = Terminal(tmp_path, [])
        if not are_added:
            terminal.until("Write it? [Y/n] ")
            assert '+    "memory-bank": {' in terminal.shown
            terminal.answer("y")
        terminal.until("Write it? [Y/n] ")
        assert "hook sessionStart --agent cursor" in terminal.shown
        terminal.answer(answer)
        assert terminal.ends() == 0, terminal.shown
        assert hooks.exists() is are_added


def test_a_foreign_entry_is_replaced_only_after_a_yes(tmp_path):
    cursor = tmp_path / ".cursor" / "mcp.json"
    cursor.parent.mkdir()
    before = '{"mcpServers": {"memory-bank": {"command": "npx", "args": ["-y", "@diazstg/memory-bank-mcp"]}}}'
    cursor.write_text(before)
    for answer in ("", "maybe"):
        terminal = Terminal(tmp_path, ["--no-hooks"])
        terminal.until("Replace it (`setup --remove` would give it back)? [y/N] ")
        assert "npx -y @diazstg/memory-bank-mcp" in terminal.shown
        terminal.answer(answer)
        assert terminal.ends() == 0, terminal.shown
        assert cursor.read_text() == before
    terminal = Terminal(tmp_path, ["--no-hooks"])
    terminal.until("Replace it (`setup --remove` would give it back)? [y/N] ")
    terminal.answer("y")
    assert terminal.ends() == 0, terminal.shown
    assert "npx" not in cursor.read_text()
    terminal = Terminal(tmp_path, ["--remove"])
    terminal.until("Remove it, and put back what it replaced? [Y/n] ")
    assert '+{"mcpServers": {"memory-bank": {"command": ' in terminal.shown
    terminal.answer("")
    assert terminal.ends() == 0, terminal.shown
    assert cursor.read_text() == before


def test_what_a_file_for_everybody_gets_of_the_user_is_named_before_the_question(tmp_path):
    terminal = Terminal(tmp_path, ["--client", "vscode", "--scope", "project", "-u", "Jo Doe"])
    terminal.until("Write it? [Y/n] ")
    notice = "The file is meant to be committed, and everybody who uses it gets from it: the path `"
    assert notice in terminal.shown and "the user name `Jo Doe`" in terminal.shown
    terminal.answer("n")
    assert terminal.ends() == 0, terminal.shown


def test_a_file_that_changes_before_the_answer_is_shown_again(tmp_path):
    cursor = tmp_path / ".cursor" / "mcp.json"
    cursor.parent.mkdir()
    cursor.write_text("{}")
    terminal = Terminal(tmp_path, ["--no-hooks"])
    terminal.until("Write it? [Y/n] ")
    cursor.write_text('{"mcpServers": {"other": {}}}')
    terminal.answer("y")
    terminal.until("Write it? [Y/n] ")
    assert "changed it meanwhile" in terminal.shown and '"other"' in terminal.shown
    terminal.answer("y")
    assert terminal.ends() == 0, terminal.shown
    assert '"other": {}' in cursor.read_text() and "memory-bank" in cursor.read_text()


def test_a_key_is_typed_without_being_shown(tmp_path):
    terminal = Terminal(tmp_path, ["--client", "cursor", "--url", "http://127.0.0.1:9/mcp"])
    terminal.until("API key (hidden")
    deadline = time.monotonic() + WAIT
    while not terminal.hides():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    terminal.answer(KEY)
    terminal.until("Write it? [Y/n] ")
    assert "kkkk" not in terminal.shown and "mbmcp_live_…" in terminal.shown
    terminal.answer("y")
    assert terminal.ends() == 1, "nothing listens there"
    assert KEY in (tmp_path / ".cursor" / "mcp.json").read_text()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_a_question_ends_it_and_the_terminal_echoes_again(tmp_path, sent):
    terminal = Terminal(tmp_path, ["--client", "cursor", "--url", "http://127.0.0.1:9/mcp"])
    terminal.until("API key (hidden")
    deadline = time.monotonic() + WAIT
    while not terminal.hides():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    kept = os.dup(terminal.terminal)
    os.kill(terminal.pid, sent)
    assert terminal.ends() == 1, terminal.shown
    assert "ended by a signal" in terminal.shown
    assert not (tmp_path / ".cursor").exists()
    assert termios.tcgetattr(kept)[3] & termios.ECHO
    os.close(kept)


def test_removal_requires_confirmation(tmp_path):
    cursor = tmp_path / ".cursor" / "mcp.json"
    cursor.parent.mkdir()
    cursor.write_text("{ }")
    terminal = Terminal(tmp_path, ["--yes", "--no-hooks"])
    assert terminal.ends() == 0, terminal.shown
    for answer, removed in (("n", False), ("y", True)):
        terminal = Terminal(tmp_path, ["--remove"])
        terminal.until("Remove it? [Y/n] ")
        terminal.answer(answer)
        assert terminal.ends() == 0, terminal.shown
        assert (cursor.read_text() == "{ }") is removed
