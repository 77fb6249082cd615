#!/usr/bin/env bash
# Makes .venv with everything the project needs. TORCH=cpu (default) or TORCH=cuda.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
torch=${TORCH:-cpu}
version=2.13.0

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Python 3.11 or newer is needed; $python is $("$python" --version). Set PYTHON=/path/to/python3.11." >&2
    exit 1
}
if [ ! -x .venv/bin/pip ]; then
    echo "Making .venv …"
    rm -rf .venv
    if ! "$python" -m venv .venv 2>/dev/null; then
        rm -rf .venv
        # Debian and Ubuntu keep venv in a package of its own.
        tools/apt.sh python3-venv
        "$python" -m venv .venv
    fi
fi
pip=".venv/bin/python -m pip --disable-pip-version-check"

echo "Installing PyTorch ($torch) …"
if [ "$torch" = cuda ] || [ "$(uname -s)" != Linux ]; then
    $pip install --quiet "torch==$version"
else
    # --no-deps: only PyTorch itself comes from PyTorch's own index; the CUDA packages are gigabytes.
    $pip install --quiet --no-deps --retries 1 "torch==$version+cpu" --extra-index-url https://download.pytorch.org/whl/cpu
fi
echo "Installing the other packages …"
$pip install --quiet --constraint constraints.txt --editable '.[dev]'
touch .venv/.installed
echo "Installed in .venv."
