#!/usr/bin/python3
"""Runs what the compose file and the pod say, as far as this machine goes without a container runtime.

Usage: tools/test-containers.py <folder with the plugin and the command>

Each container's program runs in namespaces of its own (mounts, processes, IPC, network), with the volume mounted as the file says,
and with nothing in its /dev/shm. Both viewers have to receive what the camera publishes; the onlooker, and nobody else, cannot write.
The root file system is this machine's. Needs the right to make namespaces; says so, and only reads the files, where that is missing.
The Containerfile is read here; `make test-deb` runs its RUN line in a bare Debian.
"""

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
CONTAINERS = ROOT / "packaging/containers"
# The image that all of the files name, and the Containerfile's first line builds.
IMAGE = "shmflow"
PATIENCE = 60
NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--ipc", "--net", "--mount-proc"]
# In a mount namespace of its own: the volume where it belongs, and nothing in the memory that others share.
ENTER = """
mount --bind "$0" "$1"
[ "$2" = rw ] || mount -o remount,bind,ro "$1"
can=ro
mark=$1/.written-by-${1##*/} # the others look in the same place
! touch "$mark" 2>/dev/null || { can=rw; rm "$mark"; }
[ "$can" = "$2" ] || { echo "the volume is $can there and not $2" >&2; exit 1; }
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
        assert service["image"] == IMAGE and "build" not in service, f"{path}: {name}: another image"
        (mount,) = service["volumes"]
        volume, target, *mode = mount.split(":")
        assert volume in file["volumes"], f"{path}: {name} mounts {volume}, which is not there"
        command = [*service["entrypoint"], *shlex.split(service["command"])]
        yield Container(name, command, service["environment"], target, mode == ["ro"])


def pod(path):
    file = yaml.safe_load(path.read_text())
    assert (file["apiVersion"], file["kind"]) == ("v1", "Pod"), path
    volumes = {volume["name"]: volume for volume in file["spec"]["volumes"]}
    assert volumes["topics"]["emptyDir"]["medium"] == "Memory", path
    for container in file["spec"]["containers"]:
        assert container["image"] == IMAGE, f"{path}: {container['name']}: another image"
        # Without it, `latest` is asked of a registry, where it is not.
        assert container["imagePullPolicy"] == "IfNotPresent", f"{path}: {container['name']}"
        (mount,) = container["volumeMounts"]
        assert mount["name"] in volumes, f"{path}: {mount['name']} is not there"
        environment = {entry["name"]: entry["value"] for entry in container["env"]}
        command = [*container["command"], *container["args"]]
        yield Container(container["name"], command, environment, mount["mountPath"], mount.get("readOnly", False))


def containerfile(path):
    """Reads what builds the image: what it copies is what `make deb` makes, and each package it installs is one of those."""
    text = path.read_text()
    assert f" -t {IMAGE} " in text, f"{path}: it says of no image how it is built"
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    instructions = [line.split(maxsplit=1) for line in lines if line.strip()]
    assert [name for name, _ in instructions] == ["FROM", "ARG", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD"], (
        instructions
    )
    by_name = dict(instructions)
    argument, _, debs = by_name["ARG"].partition("=")
    source, place = by_name["COPY"].split()
    assert source == f"${{{argument}}}", f"{path}: it copies {source}"
    assert f'"$(target_dir)/{Path(debs).name}"' in (ROOT / "Makefile").read_text(), f"{path}: make deb fills no {debs}"
    script = (ROOT / "tools/build-debs.sh").read_text()
    made = [f"{name}_0.1.0_amd64.deb" for name in re.findall(r"^build ([a-z0-9.-]+)$", script, flags=re.MULTILINE)]
    words = by_name["RUN"].split()
    patterns = [word for word in words if word.endswith(".deb")]
    found = {pattern: fnmatch.filter([f"{place}/{name}" for name in made], pattern) for pattern in patterns}
    assert len(patterns) == 2 and all(len(names) == 1 for names in found.values()), f"{path}: {found} of {made}"
    assert "gstreamer1.0-tools" in words, f"{path}: nothing has gst-launch-1.0"


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
    containerfile(CONTAINERS / "Containerfile")
    for kind, containers in files.items():
        # As the mount says, and as the source is told.
        for looks in (
            {c.name for c in containers if c.read_only},
            {c.name for c in containers if "read-only=true" in c.command},
        ):
            assert looks == {"onlooker"}, f"{kind}: read-only are {looks}"
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
