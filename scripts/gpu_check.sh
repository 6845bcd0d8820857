#!/usr/bin/env bash
# Checks this checkout on a machine with one GPU and no network, and writes docs/gpu.md.
#
#     scripts/gpu_check.sh [--wheels FOLDER] [--out FOLDER] [--small] [--steps NAME,NAME,..]
#
# It needs Python >= 3.11 with torch and transformers (another one than python3: PYTHON=..). What else is missing is installed
# from the wheels in FOLDER into an environment of its own; what is not there is said, and the steps that need it are left out.
# --small runs tiny shapes, on a CPU too, and leaves docs/gpu.md alone.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
out=$here/gpu-check
wheels=""
rest=()
while [ $# -gt 0 ]; do
  case $1 in
    --wheels) wheels=$(cd "$2" && pwd); shift 2 ;;
    --out) out=$2; shift 2 ;;
    *) rest+=("$1"); shift ;;
  esac
done
mkdir -p "$out"
out=$(cd "$out" && pwd)
"$python" - <<'CHECK'
import importlib.util, sys
if sys.version_info < (3, 11):
    sys.exit(f"gpu_check: Python {sys.version.split()[0]}; 3.11 or later is needed: set PYTHON")
missing = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
if missing:
    sys.exit(f"gpu_check: {sys.executable} has no {' and no '.join(missing)}: set PYTHON to one that has")
CHECK
if [ -n "$wheels" ]; then
  environment=$(mktemp -d)
  trap 'rm -rf "$environment"' EXIT
  "$python" -m venv --without-pip "$environment"
  # What the given Python sees the new one sees too, pip among it. (--system-site-packages looks past a Python that is a venv.)
  "$python" -c 'import sys; print("\n".join(f"import site; site.addsitedir({path!r})" for path in sys.path if path.endswith("-packages")))' \
    >"$("$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/given.pth"
  python=$environment/bin/python
  pip=("$python" -m pip install -q --disable-pip-version-check --no-index --find-links "$wheels")
  "$python" "$here/scripts/gpu_check/needed.py" "$here/pyproject.toml" >"$out/needed.txt"
  # Where they do not all go in together, one by one: a wheel that is not there must not keep out the others.
  if ! "${pip[@]}" -r "$out/needed.txt" >"$out/wheels.log" 2>&1; then
    while read -r requirement; do
      "${pip[@]}" "$requirement" >>"$out/wheels.log" 2>&1 </dev/null || echo "gpu_check: no wheel for $requirement"
    done <"$out/needed.txt"
  fi
fi
export PYTHONPATH="$here:$here/scripts${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
cd "$here"
"$python" -m gpu_check.run --out "$out" ${rest[@]+"${rest[@]}"}
