#!/usr/bin/env bash
# What a release must show: two builds with the same bytes, the wheel under 20 MB, a list of what it installs (SBOM), no known
# vulnerability in that, and the tests of the core on the lowest versions that pyproject.toml allows.
#   scripts/release_check.sh [OUT]     (default: dist)
# PYTHON: the interpreter. TESTS: what is run on the lowest versions ("" for nothing).
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "${1:-dist}" && cd "${1:-dist}" && pwd)
tests=${TESTS-tests/evidence tests/samples tests/scorers tests/selectors tests/run_dir tests/exports tests/pipeline tests/report tests/test_config.py tests/test_plugins.py}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"${PYTHON:-python3}" -m venv "$work/tools"
"$work/tools/bin/pip" install -q --disable-pip-version-check build hatchling uv pip-audit cyclonedx-bom

# Only what is committed is built, so that nothing of this machine is shipped.
export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
for build in first second; do
  mkdir "$work/$build"
  git archive HEAD | tar x -C "$work/$build"
  (cd "$work/$build" && umask "$([ $build = first ] && echo 022 || echo 077)" \
    && "$work/tools/bin/pyproject-build" --no-isolation -o "$work/$build-dist" . > "$work/build.log" 2>&1) \
    || { cat "$work/build.log"; exit 1; }
done
for file in "$work"/first-dist/*; do
  cmp "$file" "$work/second-dist/$(basename "$file")"
  bytes=$(stat -c %s "$file")
  [ "$bytes" -lt 20000000 ] || { echo "$(basename "$file"): $bytes bytes, 20,000,000 is the limit"; exit 1; }
  cp "$file" "$out/"
done
echo "two builds, the same bytes:"
(cd "$out" && sha256sum rap_plugin-*.whl rap_plugin-*.tar.gz | tee SHA256SUMS)

"${PYTHON:-python3}" -m venv "$work/newest"
"$work/newest/bin/pip" install -q --disable-pip-version-check "$out"/rap_plugin-*.whl
"$work/newest/bin/rap" --version
"$work/tools/bin/cyclonedx-py" environment --output-reproducible -o "$out/rap-plugin.cdx.json" "$work/newest/bin/python"
"$work/newest/bin/pip" freeze --exclude rap-plugin --exclude pip > "$work/newest.txt"
if "$work/tools/bin/pip-audit" -r "$work/newest.txt" --no-deps --disable-pip --strict > "$work/audit.log" 2>&1; then
  echo "pip-audit: no known vulnerability in $(wc -l < "$work/newest.txt") packages"
elif grep -q "not found on PyPI\|ConnectionError\|ServiceError" "$work/audit.log"; then
  echo "pip-audit: NOT CHECKED, its database cannot be reached from here"
else
  cat "$work/audit.log"
  exit 1
fi

[ -n "$tests" ] || exit 0
# Of versions without a wheel for this Python, some cannot be built any more.
"$work/tools/bin/uv" pip compile -q --no-annotate --no-header --resolution lowest-direct --only-binary :all: \
  --python "$work/newest/bin/python" pyproject.toml > "$work/lowest.txt"
"${PYTHON:-python3}" -m venv "$work/lowest"
"$work/lowest/bin/pip" install -q --disable-pip-version-check -r "$work/lowest.txt" pytest hypothesis
echo "the core's tests on $(grep -E '^(numpy|pyarrow|pydantic|click)==' "$work/lowest.txt" | tr '\n' ' ')and the lowest of the others:"
# shellcheck disable=SC2086
PYTHONPATH=$PWD "$work/lowest/bin/python" -m pytest -q -p no:cacheprovider $tests
