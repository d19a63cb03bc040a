"""Runs the documentation: the commands of its `bash` blocks, in one shell, as a reader would type them. (`sh` marks what is
only shown: getting the sources, other machines, other programs.)"""

import re
import subprocess
import threading
import uuid


def blocks(page):
    """The `bash` blocks of a page."""
    return marked("bash", page)


def shown(page, text):
    """The only `sh` block of a page that holds the text."""
    (block,) = [block for block in marked("sh", page) if text in block]
    return block


def marked(kind, page):
    return re.findall(rf"^```{kind}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


class Shell:
    """One bash that keeps its folder and variables from block to block."""

    def __init__(self, folder, environment, explain):
        """`explain` returns further output for a failed block."""
        self.explain = explain
        self.start = lambda: subprocess.Popen(["bash", "--noprofile", "--norc"], cwd=folder, env=environment, text=True,
                                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.process = self.start()

    def run(self, block, seconds=240):
        """Runs a block line by line, as if typed; the first line that fails ends it."""
        if self.process.poll() is not None:
            self.process = self.start()
        mark = f"=={uuid.uuid4().hex}=="
        # Commands must not read the commands typed after them.
        body = f"set -e -o pipefail\n{{ {block.rstrip()}\n}} </dev/null"
        script = f"trap 'code=$?; echo; echo {mark} $code' EXIT\n{body}\ntrap - EXIT\nset +e\necho; echo {mark} 0\n"
        timer = threading.Timer(seconds, self.process.kill)
        timer.start()
        lines = []
        try:
            self.process.stdin.write(script)
            self.process.stdin.flush()
            for line in self.process.stdout:
                if line.startswith(mark):
                    output = "".join(lines).rstrip()
                    if line.split()[1] != "0":
                        self.process.wait(30)
                    assert line.split()[1] == "0", f"failed:\n{block}\n{output}\n{self.explain()}"
                    return output
                lines.append(line)
        finally:
            timer.cancel()
        raise AssertionError(f"the shell ended or took more than {seconds} s:\n{block}\n{''.join(lines)}\n{self.explain()}")

    def close(self):
        self.process.kill()
        self.process.communicate()
