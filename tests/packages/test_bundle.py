"""The bundles for Claude Desktop, unpacked and checked with the tool of the format."""

import json
import os
import platform

import pytest
from conftest import ROOT, run

MCPB = ROOT / "tests/packages/node_modules/.bin/mcpb"


def unpacked(dist, tmp_path, system):
    bundle = next(path for path in dist.glob("*.mcpb") if path.name.endswith(f"-{system}.mcpb"))
    run(MCPB, "unpack", bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.mark.parametrize("system", ["linux-x64", "linux-arm64", "win32-x64", "darwin-arm64", "darwin-x64"])
def test_the_manifest_is_valid_and_requests_the_project_s_folder(dist, tmp_path, system, version):
    folder = unpacked(dist, tmp_path, system)
    run(MCPB, "validate", folder / "manifest.json")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["version"] == version
    assert manifest["compatibility"]["platforms"] == [system.split("-")[0]]
    assert (folder / manifest["server"]["entry_point"]).is_file()
    project = manifest["user_config"]["project"]
    assert project["type"] == "directory" and project["required"] is True


def test_the_bundled_program_serves_a_session(dist, tmp_path, session):
    machine = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
    folder = unpacked(dist, tmp_path, f"linux-{machine}")
    started = json.loads((folder / "manifest.json").read_text())["server"]["mcp_config"]
    program = started["command"].replace("${__dirname}", str(folder))
    assert os.access(program, os.X_OK), "a bundle keeps the bit"
    # The session gives `--path` itself.
    assert started["args"] == ["--path", "${user_config.project}", "--tools", "${user_config.tools}"]
    assert "end" in session(program, "--tools", "all")
    assert "end" in session(program, "--tools", "core")
