#!/bin/sh
# Counts instructions, lines of code (64 bytes, as caches have them) and pages of code (4096) of a frame through both elements, thread by
# thread: a table.
# Usage: tools/code-lines.sh <folder with the plugin, or the plugin>
#
# 160x120 BGRx of videotestsrc at 25 a second, both elements in one process, to fakesink; Callgrind, 300 frames less 100, which leaves
# what starting and ending takes; the painting of the picture is left out. A line counts if it is run in at least every second frame. Valgrind 3.19 knows no futex_waitv, so
# what the source does there while it waits is what it does on kernels before 5.16. Two runs differ by some per cent.
set -eu
plugin=$(readlink -f "$1")
[ -d "$plugin" ] && plugin=$plugin/libgstshmflow.so
[ -f "$plugin" ] || { echo "code-lines: there is no plugin at $plugin: make build" >&2; exit 1; }
command -v valgrind >/dev/null || { echo "code-lines: valgrind was not found: make deps" >&2; exit 1; }
work=$(mktemp -d)
topics=$(mktemp -d /dev/shm/shmflow-code-lines-XXXXXX)
trap 'rm -rf "$work" "$topics"' EXIT
trap 'exit 1' INT TERM
mkdir "$work/plugin"
ln -s "$plugin" "$work/plugin/"
export GST_PLUGIN_PATH="$work/plugin" GST_REGISTRY="$work/registry" SHMFLOW_DIR="$topics"
# The registry, without Valgrind.
gst-inspect-1.0 shmflowsink >/dev/null

# measure <frames>
measure() {
    valgrind -q --tool=callgrind --dump-instr=yes --separate-threads=yes --compress-strings=no --compress-pos=no \
        --callgrind-out-file="$work/frames-$1" gst-launch-1.0 -q \
        videotestsrc is-live=true num-buffers="$1" ! video/x-raw,format=BGRx,width=160,height=120,framerate=25/1 \
        ! shmflowsink topic=lines shmflowsrc topic=lines on-disconnect=eos ! fakesink async=false sync=false >"$work/log" 2>&1 \
        || { tail -n 20 "$work/log" >&2; echo "code-lines: the pipeline failed" >&2; exit 1; }
}
measure 100
measure 300
python3 - "$work" <<'PYTHON'
import collections, pathlib, sys

FRAMES = 200

def counts(path):
    """How often each instruction was run: (object, address) -> times."""
    found, program, inclusive = collections.Counter(), "", False
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("ob="):
            program = line[3:]
        elif line.startswith("calls="):
            inclusive = True
        elif line.startswith("0x"):
            address, _, times = line.split()
            if not inclusive:
                found[program, int(address, 16)] += int(times)
            inclusive = False
    return found

def threads(frames):
    """The sink's thread is the one that paints the pictures, the source's the other one that is the plugin's code most."""
    all_of_them = [counts(path) for path in sorted(pathlib.Path(sys.argv[1]).glob(f"frames-{frames}-*"))]
    def run_of(name, thread):
        return sum(times for (program, _), times in thread.items() if name in program) / sum(thread.values())
    sink = max(all_of_them, key=lambda thread: run_of("libgstvideotestsrc", thread))
    source = max((thread for thread in all_of_them if thread is not sink), key=lambda thread: run_of("libgstshmflow", thread))
    return {"the sink": sink, "the source": source}

def painting(program):
    """The picture itself, and not its way: of videotestsrc, and what Orc made at run time."""
    return "libgstvideotestsrc" in program or program == "???"

few, many = threads(FRAMES // 2), threads(FRAMES // 2 * 3)
print("| thread of | instructions of the plugin | in all | lines of code of the plugin | in all | pages of code of the plugin | in all |")
print("|---|---|---|---|---|---|---|")
for name in few:
    more = {key: times - few[name][key] for key, times in many[name].items() if not painting(key[0])}
    cells = []
    for of in ("libgstshmflow", ""):
        here = {key: times for key, times in more.items() if of in key[0]}
        run = [key for key, times in here.items() if times >= FRAMES / 2]
        lines, pages = ({(program, address // size) for program, address in run} for size in (64, 4096))
        cells.append((sum(here.values()) / FRAMES, len(lines), len(pages)))
    columns = [f"{count:,.0f}" for counted in zip(*cells) for count in counted]
    print("|", name, "|", " | ".join(columns), "|")
PYTHON
