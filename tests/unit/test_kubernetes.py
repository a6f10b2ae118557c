"""The manifests of docs/kubernetes are valid, and agree with each other and with the image."""

from __future__ import annotations

import re
import signal
from typing import Any

import kubernetes_validate
import pytest
import yaml

from rebound import Config, options
from tests.helpers import REPOSITORY
from tests.machine.pod import MANIFESTS, first_pod, load, playable, playable_with_image_volume

VERSIONS = ("1.27", "1.33", "1.37")
IMAGE_VOLUME = "image-volume.yaml"
STATEFULSETS = ("statefulset.yaml", IMAGE_VOLUME)
PLAIN = ("statefulset.yaml", "service.yaml", "secret.example.yaml")


def pod_of(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the spec of a StatefulSet's pod, and its container."""
    pod = load(name)["spec"]["template"]["spec"]
    [container] = pod["containers"]
    return pod, container


def understood(container: dict[str, Any]) -> tuple[Config, list[str]]:
    """Return what rebound understands of its command line: its settings, and the command."""
    program, *words = container["command"] + container["args"]
    assert program.endswith("rebound")
    settings: dict[str, Any] = {}
    command = options.parse(words, settings)
    return Config(**settings), command


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("version", VERSIONS)
def test_they_are_valid(name: str, version: str) -> None:
    """By Kubernetes' own schemas, with no field that they do not know."""
    kubernetes_validate.validate(load(name), version, strict=True)


@pytest.mark.parametrize("version", ["1.35", "1.37"])
def test_the_one_with_an_image_volume_is_valid(version: str) -> None:
    kubernetes_validate.validate(load(IMAGE_VOLUME), version, strict=True)


def test_the_validation_finds_mistakes() -> None:
    """Negative control."""
    text = (MANIFESTS / "statefulset.yaml").read_text()
    wrong = yaml.safe_load(text.replace("readinessProbe", "readynessProbe"))
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(load(IMAGE_VOLUME), "1.27", strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_podman_plays_is_valid(version: str) -> None:
    for manifest in yaml.safe_load_all(playable("image")):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_what_podman_plays_with_an_image_volume_is_valid() -> None:
    for manifest in yaml.safe_load_all(playable_with_image_volume("rebound", "image", "true")):
        kubernetes_validate.validate(manifest, "1.37", strict=True)


@pytest.mark.parametrize("name", STATEFULSETS)
def test_its_parts_fit_together(name: str) -> None:
    manifest, service = load(name), load("service.yaml")
    pod, container = pod_of(name)
    template = manifest["spec"]["template"]["metadata"]
    selectors = [manifest["spec"]["selector"]["matchLabels"], service["spec"]["selector"]]
    selectors.append(load("podmonitor.yaml")["spec"]["selector"]["matchLabels"])
    assert selectors == [template["labels"]] * 3
    assert manifest["spec"]["serviceName"] == service["metadata"]["name"]
    config, _ = understood(container)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert config.http == f":{ports['rebound']}"
    assert template["annotations"]["prometheus.io/port"] == str(ports["rebound"])
    assert load("podmonitor.yaml")["spec"]["podMetricsEndpoints"] == [{"port": "rebound"}]
    assert service["spec"]["ports"] == [{"name": "postgres", "port": ports["postgres"]}]
    # The password is where the image looks for it, and the claim where the data are.
    secret = load("secret.example.yaml")
    [mount] = [mount for mount in container["volumeMounts"] if mount["name"] == "password"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    [key] = secret["stringData"]
    assert environment["POSTGRES_PASSWORD_FILE"] == f"{mount['mountPath']}/{key}"
    volumes = {volume["name"]: volume for volume in first_pod(manifest)[-1]["spec"]["volumes"]}
    assert volumes["password"]["secret"]["secretName"] == secret["metadata"]["name"]
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys()
    assert "livenessProbe" not in container
    assert config.drain_signal == signal.SIGINT
    assert config.stop_timeout
    assert 30 < config.stop_timeout < pod["terminationGracePeriodSeconds"]


def test_the_control_plane_is_watched_where_it_listens() -> None:
    config, command = understood(pod_of("statefulset.yaml")[1])
    assert command == ["control-plane"]
    [listening] = config.listen
    assert listening == "api=127.0.0.1:8080"
    assert config.health_http == "http://127.0.0.1:8080/healthz"
    control_plane = (REPOSITORY / "images/postgres/control-plane").read_text()
    assert '"/healthz": ("GET", self.health)' in control_plane


def test_the_ids_are_those_of_the_image() -> None:
    text = (REPOSITORY / "images/postgres/Dockerfile").read_text()
    [gid], [uid] = (re.findall(rf"--{kind} (\d+) ", text) for kind in ("gid", "uid"))
    context = pod_of("statefulset.yaml")[0]["securityContext"]
    ids = (context["runAsUser"], context["runAsGroup"], context["fsGroup"])
    assert ids == (int(uid), int(gid), int(gid))


def test_rebound_is_in_the_image_volume() -> None:
    pod, container = pod_of(IMAGE_VOLUME)
    [mount] = [mount for mount in container["volumeMounts"] if mount["name"] == "rebound"]
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == "rebound"]
    assert "image" in volume
    dockerfile = (REPOSITORY / "images/scratch/Dockerfile").read_text()
    path = container["command"][0].removeprefix(mount["mountPath"])
    assert f'\nENTRYPOINT ["{path}"]' in dockerfile
    assert understood(container)[1] == ["docker-entrypoint.sh", "postgres"]
