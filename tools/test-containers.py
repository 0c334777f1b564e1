#!/usr/bin/python3
"""Runs what the compose file and the pod say, as far as this machine goes without a container runtime.

Usage: tools/test-containers.py <folder with the plugin and the command>

Each container's program runs in namespaces of its own (mounts, processes, IPC, network), with the volume mounted as the file says,
and with nothing in its /dev/shm. Both viewers have to receive what the camera publishes. The root file system is this machine's.
Needs the right to make namespaces; says so, and only reads the files, where that is missing.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import yaml

CONTAINERS = Path(__file__).resolve().parents[1] / "packaging/containers"
PATIENCE = 60
NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--ipc", "--net", "--mount-proc"]
# In a mount namespace of its own: the volume where it belongs, and nothing in the memory that others share.
ENTER = """
mount --bind "$0" "$1"
[ "$2" = rw ] || mount -o remount,bind,ro "$1"
mount -t tmpfs none /dev/shm
shift 2
exec "$@"
"""


class Container(NamedTuple):
    name: str
    command: list[str]
    environment: dict[str, str]
    mounted_at: str
    read_only: bool


def compose(path):
    file = yaml.safe_load(path.read_text())
    for name, service in file["services"].items():
        volume, target, *mode = service["volumes"][0].split(":")
        assert volume in file["volumes"], f"{path}: {name} mounts {volume}, which is not there"
        command = [*service["entrypoint"], *shlex.split(service["command"])]
        yield Container(name, command, service["environment"], target, mode == ["ro"])


def pod(path):
    file = yaml.safe_load(path.read_text())
    assert (file["apiVersion"], file["kind"]) == ("v1", "Pod"), path
    volumes = {volume["name"]: volume for volume in file["spec"]["volumes"]}
    assert volumes["topics"]["emptyDir"]["medium"] == "Memory", path
    for container in file["spec"]["containers"]:
        (mount,) = container["volumeMounts"]
        assert mount["name"] in volumes, f"{path}: {mount['name']} is not there"
        environment = {entry["name"]: entry["value"] for entry in container["env"]}
        command = [*container["command"], *container["args"]]
        yield Container(container["name"], command, environment, mount["mountPath"], mount.get("readOnly", False))


def start(container, volume, point, plugin):
    """The program of a container, with the volume at a mount point of this test's instead of the file's."""
    environment = {
        key: point if value == container.mounted_at else value for key, value in container.environment.items()
    }
    environment |= {
        "PATH": os.environ["PATH"],
        "GST_PLUGIN_PATH": plugin,
        "GST_REGISTRY": f"{point}.registry",
        "HOME": "/",
    }
    command = container.command
    if command[2] == "shmflowsrc":
        # So many frames are seen by the end that comes after them.
        command = [*command[:3], "num-buffers=30", *command[3:]]
    mode = "ro" if container.read_only else "rw"
    return subprocess.Popen(
        [*NAMESPACES, "sh", "-euc", ENTER, volume, point, mode, *command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(kind, containers, plugin):
    work = tempfile.mkdtemp(prefix="shmflow-containers-")
    volume = tempfile.mkdtemp(prefix="shmflow-containers-", dir="/dev/shm")
    os.chmod(volume, 0o1777)
    started = {}
    try:
        for container in containers:
            point = os.path.join(work, container.name)
            os.mkdir(point)
            started[container.name] = start(container, volume, point, plugin)
        for name in ("viewer", "onlooker"):
            try:
                _, error = started[name].communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                sys.exit(f"containers: {kind}: {name} received no 30 frames in {PATIENCE} s")
            assert started[name].returncode == 0, f"{kind}: {name}: {error}"
        assert started["camera"].poll() is None, f"{kind}: the camera ended: {started['camera'].stderr.read()}"
        print(f"containers: {kind}: both viewers received 30 frames of the camera")
    finally:
        for process in started.values():
            process.kill()
            process.wait()
        shutil.rmtree(volume)
        shutil.rmtree(work)


def main():
    plugin = str(Path(sys.argv[1]).resolve())
    files = {"compose": list(compose(CONTAINERS / "compose.yaml")), "pod": list(pod(CONTAINERS / "kubernetes.yaml"))}
    if os.geteuid() != 0:
        NAMESPACES[1:1] = ["--user", "--map-root-user"]
    probe = [*NAMESPACES, "mount", "-t", "tmpfs", "none", "/dev/shm"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        print("containers: no namespaces can be made here, so the files were read, and nothing was run")
        return
    for kind, containers in files.items():
        run(kind, containers, plugin)


if __name__ == "__main__":
    main()
