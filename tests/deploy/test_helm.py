"""The chart: linted and rendered by Helm, valid by the schemas of Kubernetes, and the same as the plain manifests."""

import json
import platform
import re
import subprocess
import tomllib

import kubernetes_validate
import pytest
import yaml
from conftest import BUILT, ROOT
from test_kubernetes import VERSIONS

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the package with Helm is for x86_64 only")

CHART = ROOT / "deploy" / "helm" / "memory-bank-mcp"
PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
HOST = {"host": "memory.example.com"}
SCALED = {"autoscaling": {"enabled": True, "maxReplicas": 7}, "database": {"maxConnections": 200}}
CASES = {
    "as the manifests": {},
    "scaled on processor time": SCALED,
    "scaled on streams": SCALED | {
        "autoscaling": SCALED["autoscaling"] | {"podMetrics": {"memory_bank_streams_open": 1000000, "memory_bank_db_waiting": "500m"}},
        "metrics": {"enabled": True},
    },
    "Supabase": {"database": {"provider": "supabase"}},
    "another Redis": {"redis": {"enabled": False, "url": "rediss://redis.example.com:6380"}},
    "another Redis with a password": {"redis": {"enabled": False}, "secretFiles": {"REDIS_URL_FILE": "redis_url"}},
    "no Redis, no ingress, no migration": {
        "redis": {"enabled": False}, "ingress": {"enabled": False}, "migrate": {"enabled": False}, "replicas": 1},
    "everything set": {
        "image": {"repository": "registry.example.com/memory-bank-mcp", "tag": "2"}, "imagePullSecrets": [{"name": "registry"}],
        "settings": {"DB_MAX_CONNECTIONS": 5, "MAX_PROJECT_BYTES": 10000000000, "MCP_JSON_RESPONSE": True, "RUST_LOG": "info"},
        "secretFiles": {"OIDC_CLIENT_SECRET_FILE": "oidc_client_secret"},
        "ingress": {"className": "nginx", "annotations": {"example.com/a": "b"}},
        "metrics": {"enabled": True, "port": 9000}, "podAnnotations": {"example.com/a": "b"}, "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "bank", "operator": "Exists"}],
        "resources": {"requests": {"cpu": 1}, "limits": {"memory": "2Gi", "cpu": "2"}}},
}


@pytest.fixture
def helm(tmp_path):
    """Runs a command of Helm with values, in a home of its own and without a cluster."""
    def run(*arguments, values=None):
        program = BUILT / "cluster-tools" / "helm"
        assert program.exists(), f"{program} is missing; ./scripts/setup deploy"
        given = []
        if values is not None:
            (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
            given = ["--values", str(tmp_path / "values.yaml")]
        return subprocess.run([program, *arguments, *given], capture_output=True, text=True, timeout=60,
                              env={"HOME": str(tmp_path), "KUBECONFIG": "/dev/null", "PATH": "/usr/bin:/bin"})
    return run


@pytest.fixture
def rendered(helm):
    """The objects of a release, by kind and name."""
    def render(values, release="memory-bank-mcp", version="1.36"):
        done = helm("template", release, str(CHART), "--namespace", "memory-bank", "--kube-version", version, values=HOST | values)
        assert done.returncode == 0, done.stderr
        return by_name(done.stdout)
    return render


def by_name(text):
    objects = [one for one in yaml.safe_load_all(text) if one]
    named = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    assert len(named) == len(objects)
    return named


def server(objects, name="memory-bank-mcp"):
    return objects["Deployment", name]["spec"]["template"]["spec"]["containers"][0]


def settings(objects):
    return objects["ConfigMap", "memory-bank-mcp"]["data"]


@pytest.mark.parametrize("case", CASES)
def test_helm_finds_no_fault_in_the_chart(helm, case):
    done = helm("lint", "--strict", "--quiet", str(CHART), values=HOST | CASES[case])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_kubernetes_accepts_every_object(rendered, case, version):
    for name, one in rendered(CASES[case], version=version).items():
        assert kubernetes_validate.validate(one, version, strict=True), name


def test_helm_refuses_a_kubernetes_without_the_pause(helm):
    done = helm("template", "a", str(CHART), "--kube-version", "1.29", values=HOST)
    assert done.returncode != 0 and "1.30" in done.stderr


def comparable(value):
    """Without what only a chart has: labels of its release, and names that begin with that of the release."""
    own = re.compile(r"(helm\.sh|checksum)/|app\.kubernetes\.io/(instance|version|managed-by|part-of)$")
    if isinstance(value, dict):
        left = {name: comparable(one) for name, one in value.items() if not own.match(name)}
        return {name: one for name, one in left.items() if not (name in ("labels", "annotations") and one == {}) and name != "namespace"}
    if isinstance(value, list):
        return [comparable(one) for one in value]
    return re.sub(r"memory-bank-mcp-(redis|migrate)\b", r"\1", value) if isinstance(value, str) else value


def test_the_chart_makes_the_same_objects_as_the_manifests(rendered):
    done = subprocess.run([BUILT / "cluster-tools" / "kubectl", "kustomize", ROOT / "deploy" / "kubernetes"],
                          capture_output=True, text=True, check=True, timeout=60)
    plain = {name: comparable(one) for name, one in by_name(done.stdout).items() if name[0] != "Namespace"}
    chart = {(one["kind"], one["metadata"]["name"]): one for one in map(comparable, rendered({}).values())}
    assert chart.keys() == plain.keys()
    for name, one in plain.items():
        assert chart[name] == one, name


@pytest.mark.parametrize("case", CASES)
def test_no_values_give_a_pod_more_rights(rendered, case):
    objects = rendered(CASES[case])
    assert not {"Secret", "ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"} & {kind for kind, _ in objects}
    for (kind, _), one in objects.items():
        if kind in ("Deployment", "Job"):
            pod = one["spec"]["template"]["spec"]
            assert pod["automountServiceAccountToken"] is False
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
            for container in pod["containers"]:
                assert container["securityContext"] == {
                    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
                assert container["resources"]["limits"]["memory"]


def test_the_autoscaler_adds_servers_fast_and_ends_them_slowly(rendered):
    objects = rendered(SCALED)
    scaler = objects["HorizontalPodAutoscaler", "memory-bank-mcp"]["spec"]
    deployment = objects["Deployment", "memory-bank-mcp"]
    assert scaler["scaleTargetRef"] == {key: deployment[key] for key in ("apiVersion", "kind")} | {"name": deployment["metadata"]["name"]}
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 7)
    # Else each upgrade would set the number anew.
    assert "replicas" not in deployment["spec"]
    (processor,) = scaler["metrics"]
    target = processor["containerResource"]
    assert target["container"] == server(objects)["name"] and target["target"] == {"type": "Utilization", "averageUtilization": 70}
    # The share is one of the request.
    assert server(objects)["resources"]["requests"] == {"cpu": "500m", "memory": "128Mi"}
    up, down = scaler["behavior"]["scaleUp"], scaler["behavior"]["scaleDown"]
    assert up["stabilizationWindowSeconds"] < down["stabilizationWindowSeconds"] == 600
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 120}]


def test_metrics_of_the_servers_scale_them(rendered):
    objects = rendered(CASES["scaled on streams"])
    pods = [one["pods"] for one in objects["HorizontalPodAutoscaler", "memory-bank-mcp"]["spec"]["metrics"] if one["type"] == "Pods"]
    assert {one["metric"]["name"]: one["target"] for one in pods} == {
        "memory_bank_db_waiting": {"type": "AverageValue", "averageValue": "500m"},
        "memory_bank_streams_open": {"type": "AverageValue", "averageValue": "1000000"}}
    assert settings(objects)["METRICS_ADDR"] == "0.0.0.0:9464"


def test_every_metric_that_is_named_for_scaling_exists():
    listed = set(re.findall(r"`(memory_bank_[a-z_]+)`", (ROOT / "docs" / "observability.md").read_text()))
    # The database in the example has the name of the program.
    named = set(re.findall(r"memory_bank_[a-z_]+", PAGE + (CHART / "values.yaml").read_text())) - {"memory_bank_mcp"}
    assert named and named <= listed


def test_the_documented_numbers_of_servers_are_the_most_that_the_chart_accepts(helm):
    rows = re.findall(r"^\| (\d+)(?:,[^|]*)? \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 5
    for most, each, servers in (map(int, row) for row in rows):
        for number, accepted in [(servers, True), (servers + 1, False)]:
            values = {"replicas": number, "settings": {"DB_MAX_CONNECTIONS": each}, "database": {"maxConnections": most}}
            assert (helm("template", "a", str(CHART), values=HOST | values).returncode == 0) == accepted, values


@pytest.mark.parametrize(("values", "connections"), [
    # The servers and two more, 20 each, and 10 for others.
    ({"replicas": 3}, 110),
    ({"replicas": 3, "settings": {"DB_MAX_CONNECTIONS": "10"}}, 60),
    ({"autoscaling": {"enabled": True, "maxReplicas": 7}, "settings": {"DB_MAX_CONNECTIONS": 10}}, 100),
    ({"autoscaling": {"enabled": True, "maxReplicas": 7}}, 190),
    ({"database": {"provider": "supabase"}}, 60),
])
def test_more_connections_than_the_database_admits_are_refused(helm, rendered, values, connections):
    admitted = {"maxConnections": connections}
    assert rendered(values | {"database": values.get("database", {}) | admitted})
    admitted = {"maxConnections": connections - 1}
    done = helm("template", "a", str(CHART), values=HOST | values | {"database": values.get("database", {}) | admitted})
    assert done.returncode != 0
    assert f"may need {connections} connections" in done.stderr and f"database.maxConnections is {connections - 1}" in done.stderr


def test_a_rollout_has_at_most_two_more_servers(rendered):
    deployment = rendered({})["Deployment", "memory-bank-mcp"]["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    # Its pause and its drain.
    assert deployment["minReadySeconds"] >= server(rendered({}))["lifecycle"]["preStop"]["sleep"]["seconds"] + 10


@pytest.mark.parametrize(("values", "words"), [
    ({"host": ""}, "host"),
    ({"hsot": "memory.example.com"}, "hsot"),
    ({"host": "https://memory.example.com"}, "host"),
    ({"replicas": 0}, "replicas"),
    ({"autoscaling": {"enabled": True}, "database": {"maxConnections": 200}}, "maxReplicas"),
    ({"autoscaling": {"enabled": True, "maxReplicas": 7}}, "maxConnections"),
    (SCALED | {"autoscaling": {"enabled": True, "maxReplicas": 2}}, "less than autoscaling.minReplicas (3)"),
    (SCALED | {"autoscaling": SCALED["autoscaling"] | {"podMetrics": {"memory_bank_streams_open": 1000}}}, "needs metrics.enabled"),
    ({"secretFiles": {"REDIS_URL_FILE": "redis_url"}}, "redis.enabled"),
    ({"redis": {"enabled": False, "url": "redis://user:password@redis.example.com"}}, "url"),
    ({"settings": {"DATABASE_URL": "postgresql://user:password@postgres.example.com/bank"}}, "DATABASE_URL"),
    ({"settings": {"lower": "1"}}, "lower"),
    ({"metrics": {"from": []}}, "from"),
    ({"metrics": {"port": 3100}}, "port"),
    ({"resources": {"limits": {"memory": None}}}, "memory"),
])
def test_values_that_cannot_work_are_refused(helm, values, words):
    done = helm("template", "a", str(CHART), values=HOST | values)
    assert done.returncode != 0 and words in done.stderr, done.stderr


def variables():
    return set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs" / "configuration.md").read_text(), re.MULTILINE))


def test_every_setting_with_a_file_is_refused_as_a_value():
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["settings"]
    refused = set(schema["propertyNames"]["not"]["enum"])
    assert {name.removesuffix("_FILE") for name in variables() if name.endswith("_FILE")} <= refused <= variables()


@pytest.mark.parametrize("case", CASES)
def test_every_variable_exists_in_the_server(rendered, case):
    objects = rendered(CASES[case])
    used = {one["name"] for one in server(objects)["env"]} | settings(objects).keys()
    assert used <= variables()


def test_settings_become_texts_and_replace_those_of_the_chart(rendered):
    objects = rendered(CASES["everything set"] | {"settings": CASES["everything set"]["settings"] | {"ALLOWED_HOSTS": "a.example.com"}})
    expected = {"DB_MAX_CONNECTIONS": "5", "MAX_PROJECT_BYTES": "10000000000", "MCP_JSON_RESPONSE": "true", "RUST_LOG": "info",
                "ALLOWED_HOSTS": "a.example.com", "PUBLIC_URL": "https://memory.example.com", "METRICS_ADDR": "0.0.0.0:9000"}
    assert expected.items() <= settings(objects).items()
    assert {"name": "OIDC_CLIENT_SECRET_FILE", "value": "/run/secrets/memory-bank-mcp/oidc_client_secret"} in server(objects)["env"]
    assert server(objects)["image"] == "registry.example.com/memory-bank-mcp:2"


def test_changed_settings_restart_the_servers(rendered):
    def checksum(values):
        return rendered(values)["Deployment", "memory-bank-mcp"]["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]
    assert checksum({}) == checksum({"replicas": 5}) != checksum({"settings": {"RUST_LOG": "debug"}})


def test_only_prometheus_reaches_the_metrics(rendered):
    objects = rendered({"metrics": {"enabled": True}})
    policy = objects["NetworkPolicy", "memory-bank-mcp"]["spec"]
    assert policy["podSelector"]["matchLabels"] == objects["Deployment", "memory-bank-mcp"]["spec"]["selector"]["matchLabels"]
    everybody, prometheus = policy["ingress"]
    assert everybody == {"ports": [{"protocol": "TCP", "port": server(objects)["ports"][0]["containerPort"]}]}
    assert prometheus["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    assert [one["port"] for one in prometheus["ports"]] == [9464]
    assert ("NetworkPolicy", "memory-bank-mcp") not in rendered({})


def test_the_migration_comes_before_the_servers(rendered):
    job = rendered({})["Job", "memory-bank-mcp-migrate"]
    assert job["metadata"]["annotations"] == {
        "helm.sh/hook": "pre-install,pre-upgrade", "helm.sh/hook-delete-policy": "before-hook-creation"}
    # What it uses must be there before the objects of the chart.
    pod = job["spec"]["template"]["spec"]
    assert "envFrom" not in pod["containers"][0]
    assert [one["secret"]["secretName"] for one in pod["volumes"]] == ["memory-bank-mcp-owner"]


def test_supabase_has_its_variable_and_no_migration(rendered):
    objects = rendered(CASES["Supabase"])
    assert settings(objects)["DB_PROVIDER"] == "supabase"
    assert [one["name"] for one in server(objects)["env"]] == ["SUPABASE_DB_URL_FILE"]
    assert not [name for kind, name in objects if kind == "Job"]


@pytest.mark.parametrize(("case", "address"), [
    ("as the manifests", "redis://memory-bank-mcp-redis:6379"),
    ("another Redis", "rediss://redis.example.com:6380"),
    # Its file has it.
    ("another Redis with a password", None),
    # Not the default of the server.
    ("no Redis, no ingress, no migration", ""),
])
def test_the_servers_know_their_redis(rendered, case, address):
    objects = rendered(CASES[case])
    assert settings(objects).get("REDIS_URL") == address
    assert (("Deployment", "memory-bank-mcp-redis") in objects) == (case == "as the manifests")
    assert (("Service", "memory-bank-mcp-redis") in objects) == (case == "as the manifests")


def test_two_releases_share_no_object_and_no_pod(rendered):
    one, other = rendered(CASES["scaled on streams"], release="one"), rendered(CASES["scaled on streams"], release="other")
    assert not one.keys() & other.keys()
    for kind in ("Deployment", "PodDisruptionBudget"):
        mine = one[kind, "one-memory-bank-mcp"]["spec"]["selector"]["matchLabels"]
        assert mine["app.kubernetes.io/instance"] == "one"
    assert one["Service", "one-memory-bank-mcp"]["spec"]["selector"]["app.kubernetes.io/instance"] == "one"
    assert settings({("ConfigMap", "memory-bank-mcp"): one["ConfigMap", "one-memory-bank-mcp"]})["REDIS_URL"] \
        == "redis://one-memory-bank-mcp-redis:6379"


def test_the_chart_has_the_versions_of_server_and_image():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    kustomization = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "kustomization.yaml").read_text())
    assert chart["version"] == tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    assert chart["appVersion"] == kustomization["images"][0]["newTag"]
    assert yaml.safe_load((CHART / "values.yaml").read_text())["image"]["repository"] == kustomization["images"][0]["name"]


def test_every_documented_installation_renders(helm):
    commands = re.findall(r"^helm upgrade --install ((?:.*\\\n)*.*)$", PAGE, re.MULTILINE)
    assert len(commands) >= 2
    for command in commands:
        arguments = [one.replace("deploy/helm", f"{ROOT}/deploy/helm") for one in command.replace("\\\n", " ").split()]
        done = helm("template", *arguments)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        kinds = {kind for kind, _ in by_name(done.stdout)}
        assert ("HorizontalPodAutoscaler" in kinds) == ("autoscaling.enabled=true" in command)
