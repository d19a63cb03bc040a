"""The metrics, parsed by the strict parser of the Prometheus Python client."""

import os
import re
import subprocess
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict
from prometheus_client.parser import text_string_to_metric_families as plain

ROOT = Path(__file__).resolve().parents[3]
BINARY = os.environ.get("MEMORY_BANK_MCP", str(ROOT / "target/debug/memory-bank-mcp"))


@pytest.fixture
def addresses(tmp_path):
    """A server of a folder: where it serves, and where its metrics are."""
    environment = {"MCP_PORT": "0", "METRICS_ADDR": "127.0.0.1:0"}
    with subprocess.Popen(
        [BINARY, "serve"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        found = {}
        for line in process.stdout:
            if match := re.match(r"(Metrics|Listening) on (http://\S+)/", line):
                found[match[1]] = match[2]
            if "Listening" in found:
                break
        yield found["Listening"], found["Metrics"]
        process.terminate()


def read(url, accept):
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=20) as response:
        return response.headers["Content-Type"], response.read().decode()


def test_the_metrics_are_valid_openmetrics(addresses):
    server, metrics = addresses
    for path in ["/health", "/nowhere"]:
        try:
            urllib.request.urlopen(server + path, timeout=20).close()
        except urllib.error.HTTPError as refused:
            refused.close()
    kind, text = read(f"{metrics}/metrics", "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    families = {family.name: family for family in strict(text)}
    assert families["memory_bank_http_requests"].type == "counter"
    assert families["memory_bank_http_request_duration_seconds"].type == "histogram"
    assert families["memory_bank_http_request_duration_seconds"].unit == "seconds"
    assert all(family.documentation for family in families.values())


def test_the_older_text_format_has_the_same_values(addresses):
    _, metrics = addresses
    kind, text = read(f"{metrics}/metrics", "text/plain")
    assert kind.startswith("text/plain")
    types = set(re.findall(r"^# TYPE \S+ (\S+)$", text, re.MULTILINE))
    assert types <= {"counter", "gauge", "histogram"}, "the older format knows no other types"
    names = {sample.name for family in plain(text) for sample in family.samples}
    assert {"memory_bank_uptime_seconds", "memory_bank_auth_failures_total"} <= names
