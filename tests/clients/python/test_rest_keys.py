"""The REST routes of API keys against their own description, with what schemathesis thinks of."""

import subprocess
import sys
from pathlib import Path

from http_server import lent, served

# Every check of schemathesis is made but these:
LEFT_OUT = {
    # Asks for other users' objects with the credentials of a second user, which it has to be told; the Rust tests of
    # isolation try every route with foreign keys.
    "object_level_authorization",
}



def test_the_routes_match_their_openapi_description(tmp_path):
    with lent() as database, served("/", **database.variables) as server:
        key = database.project(server)
        (tmp_path / "schemathesis.toml").write_text(f'[auth.openapi.apiKey]\napi_key = "{key}"\n')
        program = Path(sys.executable).with_name("schemathesis")
        arguments = ["run", f"{server.origin}/api/openapi.json", "--exclude-checks", ",".join(LEFT_OUT)]
        arguments += ["--seed", "1", "--max-examples", "10", "--continue-on-failure", "--warnings", "off"]
        done = subprocess.run([program, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "5 selected / 5 total" in done.stdout, done.stdout
        for phase in ("Coverage", "Fuzzing", "Stateful"):
            assert f"✅  {phase}" in done.stdout, done.stdout
