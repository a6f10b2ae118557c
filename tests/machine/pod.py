"""Makes what `podman kube play` can run of docs/kubernetes: it knows no StatefulSet."""

from __future__ import annotations

from typing import Any

import yaml

from tests.distros import REPOSITORY

MANIFESTS = REPOSITORY / "docs/kubernetes"


def load(name: str) -> dict[str, Any]:
    """Return one of the manifests."""
    manifest: dict[str, Any] = yaml.safe_load((MANIFESTS / name).read_text())
    return manifest


def first_pod(statefulset: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the volume claims and the first pod of a StatefulSet, as its controller makes them."""
    spec, name = statefulset["spec"], f"{statefulset['metadata']['name']}-0"
    template, objects = spec["template"], []
    volumes = list(template["spec"].get("volumes", ()))
    for claim in spec["volumeClaimTemplates"]:
        of_pod = f"{claim['metadata']['name']}-{name}"
        metadata = {"metadata": claim["metadata"] | {"name": of_pod}}
        objects.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim"} | claim | metadata)
        source = {"persistentVolumeClaim": {"claimName": of_pod}}
        volumes.append({"name": claim["metadata"]["name"]} | source)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": template["metadata"] | {"name": name},
        "spec": template["spec"] | {"hostname": name, "volumes": volumes},
    }
    return [*objects, pod]


def playable(image: str) -> str:
    """Return the Secret and the StatefulSet as podman can play them, with this image.

    podman has curl ask what httpGet asks, in the container, and the image has no curl: so the
    startupProbe is left out.  It knows no readinessProbe, and reads over it.  And the network of
    its pods has no DNS for a Service: clients take the name of the pod.
    """
    [*claims, pod] = first_pod(load("statefulset.yaml"))
    [container] = pod["spec"]["containers"]
    del container["startupProbe"]
    container["image"] = image
    return yaml.safe_dump_all([load("secret.example.yaml"), *claims, pod])


def playable_with_image_volume(rebound: str, image: str, *command: str) -> str:
    """Return the same of the variant, with rebound of one image, and a command of another.

    The official image of PostgreSQL cannot be had without a registry.
    """
    [*claims, pod] = first_pod(load("image-volume.yaml"))
    [container] = pod["spec"]["containers"]
    end_of_options = container["command"].index("--") + 1
    container |= {
        "image": image,
        "command": container["command"][:end_of_options],
        "args": [*command],
    }
    for volume in pod["spec"]["volumes"]:
        if "image" in volume:
            volume["image"]["reference"] = rebound
    return yaml.safe_dump_all([load("secret.example.yaml"), *claims, pod])
