"""The wheels."""

import base64
import csv
import hashlib
import platform
import sys
import zipfile

from conftest import ROOT, run
from packaging.metadata import Metadata
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

# Another project has the name `memory-bank-mcp` on PyPI.
NAME = "diazstg-memory-bank-mcp"
MODULE = NAME.replace("-", "_")
TOOLS = ROOT / "tests/packages/.venv/bin"


def of_this_machine(dist):
    return next(path for path in (dist / "pypi").iterdir() if f"linux_2_17_{platform.machine()}" in path.name)


def test_the_names_and_tags_are_valid_and_one_is_for_this_machine(dist, version):
    wheels = sorted((dist / "pypi").iterdir())
    assert len(wheels) == 5
    supported = set(sys_tags())
    fitting = []
    for wheel in wheels:
        name, found, _, tags = parse_wheel_filename(wheel.name)
        assert (name, str(found)) == (NAME, version)
        with zipfile.ZipFile(wheel) as archive:
            assert archive.testzip() is None
            info = archive.read(f"{MODULE}-{version}.dist-info/WHEEL").decode()
            metadata = archive.read(f"{MODULE}-{version}.dist-info/METADATA").decode()
        assert {line.removeprefix("Tag: ") for line in info.splitlines() if line.startswith("Tag: ")} == {str(tag) for tag in tags}
        # How the MCP registry sees that the package belongs to the server.
        assert "mcp-name: io.github.diaz3618/memory-bank-mcp" in metadata
        fitting += [wheel] if tags & supported else []
    assert fitting == [of_this_machine(dist)]


def test_each_file_is_recorded_and_the_metadata_is_valid(dist):
    for wheel in (dist / "pypi").iterdir():
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            info = next(name for name in names if name.endswith("/RECORD")).removesuffix("/RECORD")
            recorded = {}
            for name, digest, size in csv.reader(archive.read(f"{info}/RECORD").decode().splitlines()):
                recorded[name] = (digest, size)
            assert sorted(names) == sorted(recorded), wheel.name
            assert recorded.pop(f"{info}/RECORD") == ("", "")
            for name, (digest, size) in recorded.items():
                content = archive.read(name)
                found = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
                assert (digest, size) == (f"sha256={found}", str(len(content))), name
            metadata = Metadata.from_email(archive.read(f"{info}/METADATA"), validate=True)
            assert metadata.name == NAME
            # The named licence exists, and the programs are executable.
            assert {f"{info}/licenses/{name}" for name in metadata.license_files} <= set(names)
            programs = [entry for entry in archive.infolist() if "/scripts/" in entry.filename]
            assert all(entry.external_attr >> 16 & 0o111 == 0o111 for entry in programs)
            started = {entry.filename.rsplit("/", 1)[1] for entry in programs}
            windows = {"memory-bank-mcp.exe", f"{NAME}.cmd"}
            assert started == (windows if "win_amd64" in wheel.name else {"memory-bank-mcp", NAME})


def test_pip_installs_the_program_which_serves_a_session(dist, tmp_path, version, session):
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    run(tmp_path / "venv/bin/pip", "install", "--no-index", of_this_machine(dist))
    program = tmp_path / "venv/bin/memory-bank-mcp"
    assert version in run(program, "--version").stdout
    assert "end" in session(program)
    # By the name of the package, also through a link and with a blank in an argument.
    link = tmp_path / "a link"
    link.symlink_to(tmp_path / "venv/bin")
    assert version in run(link / NAME, "--path", "a folder", "--version").stdout
    assert "end" in session(link / NAME)
    run(tmp_path / "venv/bin/pip", "uninstall", "-y", NAME)
    assert not program.exists() and not (link / NAME).exists()


def test_uvx_runs_it_from_a_folder_of_wheels(dist, tmp_path, version):
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "UV_CACHE_DIR": str(tmp_path / "cache")}
    command = [TOOLS / "uvx", "--python", sys.executable, "--no-index", "--find-links", dist / "pypi"]
    for words in [[NAME], [f"{NAME}@{version}"], ["--from", NAME, "memory-bank-mcp"]]:
        assert version in run(*command, *words, "--version", env=environment).stdout


def test_uv_installs_the_command_without_the_name_of_the_owner(dist, tmp_path, version, session):
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "UV_CACHE_DIR": str(tmp_path / "cache")}
    run(TOOLS / "uv", "tool", "install", "--python", sys.executable, "--no-index", "--find-links", dist / "pypi", NAME, env=environment)
    for name in ["memory-bank-mcp", NAME]:
        assert version in run(tmp_path / ".local/bin" / name, "--version", env=environment).stdout
    assert "end" in session(tmp_path / ".local/bin/memory-bank-mcp")
