#!/usr/bin/env bash
# benchmarks/gpu_bench on the fake driver: figures of a case, and wrong results found.
#
# usage: bench_on_fake_driver.sh WRITE_CASES BENCH FOLDER
set -euo pipefail
rm -rf "$3"
"$1" "$3/all" --fake
good=$3/good/vector_add
wrong=$3/wrong/vector_add
mkdir -p "$good" "$wrong"
cp "$3/all/vector_add/plan.bin" "$good"
cp "$3/all/vector_add/plan.bin" "$wrong"
printf 'input float32 1000\ninput float32 1000\nresult float32 1000\nflops 1000\nbytes 12000\nlaunches 1\n' >"$good/bench.txt"
found=$("$2" "$3/good" --seconds 0.001)
grep -q '"device": "Fake GPU"' <<<"$found"
grep -q '"case": "vector_add", "plain_us": [0-9.]*, "graph_us": .*"tflops": .*"gb_per_s": ' <<<"$found"
# A sum is no product: the sampled element says so.
printf 'input float32 1000\ninput float32 1000\nresult float32 1000\nproduct 1 1 1000\n' >"$wrong/bench.txt"
code=0
found=$("$2" "$3/wrong" --seconds 0.001 2>&1) || code=$?
[ $code = 1 ]
grep -q 'a sampled element is wrong by' <<<"$found"
# Without a driver there is no figure.
code=0
found=$(TENON_CUDA_PATH=none "$2" "$3/good") || code=$?
[ $code = 3 ]
grep -q no_device <<<"$found"
