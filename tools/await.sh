# For test scripts, which read it in (`. tools/await.sh`) and have a function `fail`: waits until a command succeeds.
# Usage: await <what that means> <command...>
await() {
    what=$1
    shift
    for _ in $(seq 600); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.05
    done
    fail "in vain: $what"
}
