"""ResNet-50's 3x3 and 1x1 convolutions, float32, against the FMA peak of the same process.

usage: python benchmarks/convolution.py [--threads 2] [--processes 3]

Forward at batch 1 with packed weights, bias and ReLU; forward and backward (gradients by input and
weight) at batch 8 with weights as inputs. Each layer counts as often as the network (v1.5, strides
in the 3x3 layers) has it. Layers and peak alternate within a process; figures are medians of
processes.
"""

import argparse
import json
import statistics

import measurement
from peak import peak_gflops

# (image, input channels, output channels, window, stride, how often)
LAYERS = [
    (56, 64, 64, 1, 1, 1),
    (56, 64, 64, 3, 1, 3),
    (56, 64, 256, 1, 1, 4),
    (56, 256, 64, 1, 1, 2),
    (56, 256, 128, 1, 1, 1),
    (56, 128, 128, 3, 2, 1),
    (28, 128, 512, 1, 1, 4),
    (56, 256, 512, 1, 2, 1),
    (28, 512, 128, 1, 1, 3),
    (28, 128, 128, 3, 1, 3),
    (28, 512, 256, 1, 1, 1),
    (28, 256, 256, 3, 2, 1),
    (14, 256, 1024, 1, 1, 6),
    (28, 512, 1024, 1, 2, 1),
    (14, 1024, 256, 1, 1, 5),
    (14, 256, 256, 3, 1, 5),
    (14, 1024, 512, 1, 1, 1),
    (14, 512, 512, 3, 2, 1),
    (7, 512, 2048, 1, 1, 3),
    (14, 1024, 2048, 1, 2, 1),
    (7, 2048, 512, 1, 1, 2),
    (7, 512, 512, 3, 1, 2),
]
BAR_SHARE = 0.70  # of the peak, forward at batch 1
BAR_BACKWARD = 2.5  # times forward at batch 8


def flops(layer, batch):
    size, c, oc, k, stride, _ = layer
    out = (size - 1) // stride + 1
    return 2 * batch * out * out * oc * k * k * c


def arrays(layer, batch):
    import numpy as np

    size, c, oc, k, stride, _ = layer
    out = (size - 1) // stride + 1
    rng = np.random.default_rng(1)
    shapes = (batch, size, size, c), (k, k, c, oc), (oc,), (batch, out, out, oc)
    return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


def runs_of(layer, case):
    """Return the call to time; ``forward_1``, ``forward_8`` or ``backward_8``."""
    import numpy as np

    import tenon as tn
    from tenon.nn import functional as f

    kind, batch = case.split("_")
    _, _, _, k, stride, _ = layer
    x, w, bias, dy = arrays(layer, int(batch))

    def conv(x, w):
        return f.conv2d(x, w, None, stride, k // 2)

    if case == "forward_1":
        network = tn.compile(lambda x: f.relu(f.conv2d(x, w, bias, stride, k // 2)), [x])
        out = np.empty_like(dy)
        return lambda: network(x, out=out)
    if kind == "forward":
        network = tn.compile(conv, [x, w])
        out = np.empty_like(dy)
        return lambda: network(x, w, out=out)
    network = tn.compile(lambda x, w, dy: tn.vjp(conv, x, w)[1](dy), [x, w, dy])
    out = (np.empty_like(x), np.empty_like(w))
    return lambda: network(x, w, dy, out=out)


def measure(case, threads):
    """Return milliseconds of each layer and the peak in GF/s, in this process."""
    measurement.pin(threads)
    import tenon as tn

    tn.config.threads = threads
    peak, times = [], []
    for layer in LAYERS:
        run = runs_of(layer, case)
        peak.append(peak_gflops(threads, 0.05))
        times.append(1e3 * measurement.median_seconds(run, budget_s=0.15, warm_up_s=0.05))
    return {"ms": times, "peak_gflops": max(peak)}


def total(times):
    return sum(ms * layer[-1] for ms, layer in zip(times, LAYERS, strict=True))


def summary(runs, batch, factor):
    """Return total milliseconds and the share of the peak, medians of processes."""
    work = 1e-6 * factor * sum(flops(layer, batch) * layer[-1] for layer in LAYERS)
    shares = [work / total(run["ms"]) / run["peak_gflops"] for run in runs]
    return statistics.median(total(run["ms"]) for run in runs), statistics.median(shares)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--case", help="measure this case in this process")
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(arguments.case, arguments.threads)))
        return
    runs = {"forward_1": [], "forward_8": [], "backward_8": []}
    for _ in range(arguments.processes):
        for case, figures in runs.items():
            threads = str(arguments.threads)
            figures.append(
                measurement.run_child("convolution.py", "--case", case, "--threads", threads)
            )
    for i, layer in enumerate(LAYERS):
        size, c, oc, k, stride, count = layer
        line = f"{count} x {size:2}x{size:<2} {c:4} -> {oc:4} {k}x{k}/{stride}:"
        for case, figures in runs.items():
            ms = statistics.median(run["ms"][i] for run in figures)
            factor = 2 if case.startswith("backward") else 1
            rate = factor * 1e-6 * flops(layer, int(case[-1])) / ms
            share = rate / statistics.median(run["peak_gflops"] for run in figures)
            line += f"  {case} {ms:7.3f} ms {share:4.0%}"
        print(line)
    one, share = summary(runs["forward_1"], 1, 1)
    forward, share_8 = summary(runs["forward_8"], 8, 1)
    backward, share_back = summary(runs["backward_8"], 8, 2)
    word = "ok" if share >= BAR_SHARE else "BELOW THE BAR"
    print(f"forward, batch 1: {one:.1f} ms, {share:.1%} of the peak, bar {BAR_SHARE:.0%}: {word}")
    print(f"forward, batch 8: {forward:.1f} ms, {share_8:.1%} of the peak")
    print(f"backward, batch 8: {backward:.1f} ms, {share_back:.1%} of the peak")
    print(measurement.verdict("backward / forward", backward / forward, BAR_BACKWARD, "times"))
    measurement.write_result("convolution", {"threads": arguments.threads, "runs": runs})


if __name__ == "__main__":
    main()
