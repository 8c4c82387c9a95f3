#!/bin/sh
# The client module and the console page, tested: first without a browser, then with one.
#
#     tests/browser/run.sh [--url URL | --server target/release/ringpost] [--shots DIR]
#
# With --server the test starts the program itself, kills it and starts it again. Without either
# the page talks to the stand-in (standin.mjs), which can lose events like a crash.
# What is missing (node, npm, Chromium) is said aloud; exit code 77 then, if nothing failed before.
set -eu
cd "$(dirname "$0")/../.."

skip() {
    echo "skipped: $1"
    exit 77
}

command -v node >/dev/null || skip "browser tests: node is not installed"
node --test tests/browser/*.test.mjs

for name in chromium chromium-browser google-chrome; do
    CHROMIUM="${CHROMIUM:-$(command -v $name || true)}"
done
[ -n "$CHROMIUM" ] || skip "tests in a real browser: Chromium is not installed"
export CHROMIUM

# Pinned: a browser test must fail because of us, not because of a new driver.
driver=playwright-core@1.65.1
if ! grep -qs '"version": "1.65.1"' target/browser/node_modules/playwright-core/package.json; then
    command -v npm >/dev/null || skip "tests in a real browser: npm is not installed"
    mkdir -p target/browser
    npm install --prefix target/browser --no-save --no-audit --no-fund --ignore-scripts "$driver" \
        >target/browser/npm.log 2>&1 || skip "tests in a real browser: npm cannot install $driver"
fi
exec node tests/browser/chat.mjs "$@"
