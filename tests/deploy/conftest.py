"""An engine of its own for the tests, with stand-ins for the images that cannot be pulled. `run` starts pytest in fresh
namespaces, so the ports of the host are free and nothing outlives the tests."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "target" / "deploy"
STAND_INS = Path(__file__).parent / "stand-in"
TOOLS = Path(__file__).parent / ".venv" / "bin"
IMAGE = "diaz3618/memory-bank-mcp:1.8.0-http-pg-redis"


def wait_for(what, condition, seconds=60):
    """The first true answer of the condition."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.2)


class Engine:
    """A running engine; each call is one command of its client."""

    def __init__(self, home):
        self.home = home
        config = home / "config"
        plugins = config / "cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-compose").symlink_to(TOOLS / "docker-compose")
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin",
            "HOME": str(home),
            "DOCKER_HOST": f"unix://{home}/engine.sock",
            "DOCKER_CONFIG": str(config),
            "DOCKER_BUILDKIT": "1",
        }

    def start(self):
        """The engine chooses how it stores layers: overlay2 where the kernel can, vfs elsewhere."""
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, env=self.environment)
        self.log = open(self.home / "engine.log", "w")
        self.process = subprocess.Popen(
            ["dockerd", f"--data-root={self.home}/data", f"--exec-root={self.home}/exec",
             f"--pidfile={self.home}/pid", f"--host={self.environment['DOCKER_HOST']}"],
            stdout=self.log, stderr=self.log, env=self.environment)

        def answers():
            assert self.process.poll() is None, self.last_log_lines()
            return self.try_("version").returncode == 0

        try:
            wait_for("the engine answers", answers, 30)
        except AssertionError as error:
            raise AssertionError(f"no engine can be started here ({error}):\n{self.last_log_lines()}") from error

    def last_log_lines(self):
        return "\n".join((self.home / "engine.log").read_text().splitlines()[-15:])

    def stop(self):
        """Kills the engine at once; `run` removes its leftovers."""
        self.process.kill()
        self.process.wait()
        self.log.close()

    def try_(self, *arguments, **options):
        return subprocess.run(["docker", *arguments], env=self.environment, capture_output=True, text=True,
                              timeout=300, **options)

    def __call__(self, *arguments, **options):
        done = self.try_(*arguments, **options)
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def inspect(self, name):
        return json.loads(self("inspect", name))[0]

    def health(self, name):
        return self.inspect(name)["State"].get("Health", {}).get("Status")


@pytest.fixture(scope="session")
def engine():
    # The socket's path must be short.
    home = Path(tempfile.mkdtemp(prefix="mbmcp-engine-", dir=os.environ.get("TMPDIR", "/tmp")))
    data = Path(os.environ["MEMORY_BANK_ENGINE"])
    data.mkdir(parents=True)
    (home / "data").symlink_to(data)
    engine = Engine(home)
    engine.start()
    yield engine
    engine.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def binary():
    path = Path(os.environ["MEMORY_BANK_IMAGE_BINARY"])
    assert path.exists(), f"{path} is missing; cargo build --release --package memory-bank-mcp"
    return path


@pytest.fixture(scope="session")
def image(engine, binary, tmp_path_factory):
    """Our image: its last stage, around the binary that is built already."""
    engine("import", str(BUILT / "stand-in" / "base.tar"), "gcr.io/distroless/cc-debian12:nonroot")
    context = tmp_path_factory.mktemp("image")
    shutil.copy(binary, context / "memory-bank-mcp")
    engine("build", "--file", str(ROOT / "deploy" / "Dockerfile"), "--build-arg", "BINARY=prebuilt", "--tag", IMAGE,
           str(context))
    return IMAGE


@pytest.fixture(scope="session")
def stand_ins(engine, image):
    """The images in docker-compose.yml other than ours."""
    engine("import", str(BUILT / "stand-in" / "root.tar"), "stand-in-root")
    engine("tag", "gcr.io/distroless/cc-debian12:nonroot", "stand-in-base")
    context = Path(os.environ["MEMORY_BANK_ENGINE"]).with_suffix(".context")
    shutil.copytree(STAND_INS, context)
    os.link(TOOLS / "traefik", context / "traefik")
    for stage, name in [("postgres", "postgres:17-alpine"), ("redis", "redis:7-alpine"), ("traefik", "traefik:v3.3")]:
        engine("build", "--target", stage, "--tag", name, str(context))
    shutil.rmtree(context)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """The files of the repository that an operator works with, as they are now."""
    here = tmp_path_factory.mktemp("checkout")
    for folder in ["deploy", "migrations", "docs", "supabase"]:
        shutil.copytree(ROOT / folder, here / folder, symlinks=True)
    for file in ["docker-compose.yml", ".env.example"]:
        assert not (ROOT / file).is_symlink()
        shutil.copy(ROOT / file, here)
    return here
