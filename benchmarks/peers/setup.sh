#!/usr/bin/env bash
# Makes one virtual environment per peer; nothing outside ROOT is written.
#
# usage: benchmarks/peers/setup.sh ROOT [onnx|ort|openvino|torch|jax|tvm ...]
# PYTHON names another interpreter. Prints, per peer, the exit status, seconds and the installed size.
set -uo pipefail
root=${1:?usage: setup.sh ROOT [PEER...]}
shift
python=${PYTHON:-python3}
[ $# -gt 0 ] || set -- onnx ort openvino torch

packages() {
  case $1 in
    onnx) echo "numpy onnx ml_dtypes" ;;
    ort) echo "onnxruntime numpy" ;;
    openvino) echo "openvino numpy" ;;
    torch) echo "torch numpy ml_dtypes" ;;
    jax) echo "jax numpy" ;;
    # ffi 0.1.15 crashes the MetaSchedule of 0.27.0.post1
    tvm) echo "apache-tvm[meta-schedule,popen-pool] apache-tvm-ffi==0.1.14.post1 psutil cloudpickle numpy scipy" ;;
    *) echo "setup.sh: unknown peer $1" >&2; exit 2 ;;
  esac
}

mkdir -p "$root/log"
for peer in "$@"; do
  start=$SECONDS
  [ -d "$root/$peer" ] || "$python" -m venv "$root/$peer"
  # shellcheck disable=SC2046
  "$root/$peer/bin/pip" install -q --disable-pip-version-check $(packages "$peer") >"$root/log/$peer.txt" 2>&1
  echo "$peer rc=$? $((SECONDS - start)) s $(du -sm "$root/$peer" | cut -f1) MB"
done
