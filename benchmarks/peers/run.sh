#!/usr/bin/env bash
# Measures some peers (default: all), one process at a time.
#
# usage: ROOT=... MODELS=... PEERS_OUT=... MINILM=.../model.safetensors benchmarks/peers/run.sh [PEER...]
# ROOT: the environments of setup.sh; MODELS: a folder for ONNX files; PEERS_OUT: results.jsonl is appended there.
set -euo pipefail
: "${ROOT:?}" "${MODELS:?}" "${PEERS_OUT:?}" "${MINILM:?}"
export PEERS_MODELS=$MODELS PEERS_OUT MINILM
cd "$(dirname "${BASH_SOURCE[0]}")"
mkdir -p "$PEERS_OUT"
nets="net_resnet50 net_mobilenetv2 net_bert_base_128 net_minilm_16 net_minilm_128 net_gpt2_decode"
[ -f "$MODELS/net_gpt2_decode.onnx" ] || "$ROOT/onnx/bin/python" models.py "$MODELS" "$MINILM"
[ $# -gt 0 ] || set -- ort openvino openvino-default torch-eager torch-compile numpy
for peer in "$@"; do
  case $peer in
    ort | openvino | openvino-default)
      python=$ROOT/${peer%%-*}/bin/python
      "$python" bench_onnx.py "$peer" "$MODELS" gemm memory call
      for net in $nets; do "$python" bench_onnx.py "$peer" "$MODELS" "$net"; done ;;
    torch-eager | torch-compile)
      python=$ROOT/torch/bin/python
      "$python" bench_torch.py "${peer#torch-}" gemm memory call
      for net in $nets; do "$python" bench_torch.py "${peer#torch-}" "$net"; done ;;
    numpy) "$ROOT/ort/bin/python" bench_numpy.py gemm memory call ;;
    *) echo "run.sh: unknown peer $peer" >&2; exit 2 ;;
  esac
done
