"""The manifests: valid by the schemas of Kubernetes, and consistent with each other and with the configuration."""

import re

import kubernetes_validate
import pytest
import yaml
from conftest import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
MANIFESTS = [(file.name, one) for file in sorted(FOLDER.glob("*.yaml")) for one in yaml.safe_load_all(file.read_text())]
# 1.30 is the first in which a pause before the end needs no shell.
VERSIONS = ["1.30", "1.34", kubernetes_validate.latest_version()]


def the(kind, name="memory-bank-mcp"):
    return next(one for _, one in MANIFESTS if one["kind"] == kind and one["metadata"]["name"] == name)


def pods():
    return [one["spec"]["template"] for _, one in MANIFESTS if one["kind"] in ("Deployment", "Job")]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid(version):
    for name, manifest in MANIFESTS:
        if manifest["kind"] != "Kustomization":
            assert kubernetes_validate.validate(manifest, version, strict=True), name


def test_the_kustomization_lists_every_manifest_except_the_example_secret():
    listed = next(one for _, one in MANIFESTS if one["kind"] == "Kustomization")["resources"]
    there = {name for name, one in MANIFESTS if one["kind"] != "Kustomization"}
    assert set(listed) == there - {"secret.example.yaml"}


def test_every_setting_exists_in_the_server():
    known = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs" / "configuration.md").read_text(), re.MULTILINE))
    used = set(the("ConfigMap")["data"])
    for pod in pods():
        for container in pod["spec"]["containers"]:
            used |= {one["name"] for one in container.get("env", [])}
    assert used and used <= known


def test_no_pod_has_rights_that_it_does_not_need():
    for pod in pods():
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["automountServiceAccountToken"] is False
        for container in pod["spec"]["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
            assert container["resources"]["limits"]["memory"]


def test_service_disruption_budget_and_ingress_select_the_servers():
    labels = the("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert the("Service")["spec"]["selector"] == labels
    assert the("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    rule = the("Ingress")["spec"]["rules"][0]
    assert {path["path"] for path in rule["http"]["paths"]} == {
        "/mcp", "/api", "/app", "/health", "/oauth", "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration",
    }
    settings = the("ConfigMap")["data"]
    assert rule["host"] == settings["ALLOWED_HOSTS"] and settings["PUBLIC_URL"] == f"https://{rule['host']}"


def test_the_ingress_has_the_proxy_settings_of_the_server():
    annotations = {name.partition("/")[2]: value for name, value in the("Ingress")["metadata"]["annotations"].items()}
    assert annotations["proxy-buffering"] == "off"
    # A call takes up to 120 s, a body up to 1 MiB, and an idle connection is closed after 180 s.
    assert int(annotations["proxy-read-timeout"]) > 120
    assert annotations["proxy-body-size"] == "2m"
    assert annotations["connection-proxy-header"] == "close"


def test_only_the_servers_reach_redis():
    policy = the("NetworkPolicy", "redis")["spec"]
    assert policy["podSelector"]["matchLabels"] == the("Deployment", "redis")["spec"]["template"]["metadata"]["labels"]
    (rule,) = policy["ingress"]
    (peer,) = rule["from"]
    assert peer["podSelector"]["matchLabels"] == the("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert [port["port"] for port in rule["ports"]] == [the("Service", "redis")["spec"]["ports"][0]["port"]]


def test_three_servers_have_probes_and_a_grace_period():
    deployment = the("Deployment")["spec"]
    server = deployment["template"]["spec"]["containers"][0]
    assert deployment["replicas"] == 3 and the("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert server["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert server["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert server["lifecycle"]["preStop"]["sleep"]["seconds"] + 10 < deployment["template"]["spec"]["terminationGracePeriodSeconds"]


def test_the_image_tag_equals_the_one_in_compose():
    image = next(one for _, one in MANIFESTS if one["kind"] == "Kustomization")["images"][0]
    example = (ROOT / ".env.example").read_text()
    assert f"DOCKER_IMAGE={image['name']}\n" in example
    assert f"DOCKER_TAG={image['newTag']}\n" in example
