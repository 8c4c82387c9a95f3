# Sourced by the scripts beside it, in the repository's root: builds ringpost, the tester and the
# peers, and starts servers on CPU 0. Whoever sources it may set `smoke` (debug builds of the crates
# alone, bounded). All that was started is stopped when the script ends.

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools=$target/peers
folder=$(mktemp -d)
mkdir -p "$tools"
pids=()
stop() {
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

built=release
build_crates() {
    local crates=(--manifest-path benches/peers/Cargo.toml --target-dir "$tools/crates")
    if [ -n "$smoke" ]; then
        built=debug
        # What the other tests build as well; then what nobody else does, which is little.
        cargo build --quiet --workspace --features ringpost/export --bins
        timeout 60 cargo build --quiet "${crates[@]}" || {
            echo "skipped: the crates' peers did not build within a minute (the next run goes on)"
            exit 77
        }
        return
    fi
    cargo build --quiet --release --bin ringpost
    cargo build --quiet --release --package ringpost-load
    cargo build --quiet --release "${crates[@]}"
}

# The crate is only a parcel: its library is never built.
uws_crate=libuwebsockets-sys uws_version=0.0.10
build_uws() {
    local home=$tools/uws source
    [ -x "$home/peer-uws-$uws_version" ] && [ "$home/peer-uws-$uws_version" -nt benches/peers/uws.cpp ] &&
        return
    mkdir -p "$home/src"
    : >"$home/src/lib.rs"
    printf '[workspace]\n[package]\nname = "parcel"\nversion = "0.0.0"\n[dependencies]\n%s = "=%s"\n' \
        "$uws_crate" "$uws_version" >"$home/Cargo.toml"
    (cd "$home" && cargo vendor --quiet vendor >/dev/null)
    source=$home/vendor/$uws_crate/uWebSockets
    mkdir -p "$home/objects"
    for part in context socket eventing/epoll_kqueue udp bsd loop; do
        gcc -O3 -DLIBUS_NO_SSL -I "$source/uSockets/src" -c "$source/uSockets/src/$part.c" \
            -o "$home/objects/$(basename "$part").o" || return
    done
    g++ -O3 -std=c++20 -DLIBUS_NO_SSL -DUWS_NO_ZLIB -I "$source/src" -I "$source/uSockets/src" \
        benches/peers/uws.cpp "$home"/objects/*.o -o "$home/peer-uws-$uws_version"
}

bun_version=1.4.5
install_bun() {
    bun=$tools/bun/node_modules/@oven/bun-linux-x64/bin/bun
    [ -x "$bun" ] && [ "$("$bun" --version)" = "$bun_version" ] && return
    mkdir -p "$tools/bun"
    npm install --prefix "$tools/bun" --no-save --no-audit --no-fund --ignore-scripts \
        "@oven/bun-linux-x64@$bun_version" >"$tools/bun.log" 2>&1 && chmod +x "$bun"
}

# start NAME COMMAND…: a server on CPU 0, or on $server_cpus; remembers how the tester names it.
server_cpus=0
declare -A contestants
start() {
    local name=$1 tries=0 address=''
    shift
    taskset -c "$server_cpus" "$@" >"$folder/$name.out" 2>"$folder/$name.err" &
    local pid=$!
    pids+=("$pid")
    until address=$(grep -om1 '127\.0\.0\.1:[0-9]*' "$folder/$name.out") && [ -n "$address" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 200 ]; then
            echo "$name did not start: $(cat "$folder/$name.err")"
            return 1
        fi
        sleep 0.05
    done
    contestants[$name]="$name=ws://$address,pid=$pid"
}
