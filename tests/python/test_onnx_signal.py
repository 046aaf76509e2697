"""ONNX Fourier transforms and windows."""

from typing import Any

import numpy as np
import onnx_graphs as og
import pytest
from onnx_graphs import node

import tenon as tn

RNG = np.random.default_rng(12)


def pairs(x: Any, dtype: Any = np.float32) -> Any:
    return np.stack([x.real, x.imag], -1).astype(dtype)


def close(got: Any, expected: Any, tolerance: float = 2e-6) -> None:
    scale = np.abs(expected).max()
    og.same(got, expected, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("length", [1, 2, 7, 32, 36, 97, 400, 1024])
def test_transforms_of_every_length(length: int) -> None:
    x = RNG.standard_normal((3, length, 2)).astype(np.float32)
    z = x[..., 0] + 1j * x[..., 1]
    nodes = [node("DFT", "x - a", "y")]
    [got] = og.tenon(nodes, {"x": x}, constants={"a": np.int64(1)}, opset=20)
    close(got, pairs(np.fft.fft(z)))
    nodes = [node("DFT", "x - a", "y", inverse=1)]
    [got] = og.tenon(nodes, {"x": x}, constants={"a": np.int64(1)}, opset=20)
    close(got, pairs(np.fft.ifft(z)))


@pytest.mark.parametrize("axis", [0, 1, -3])
@pytest.mark.parametrize("length", [None, 4, 9])
def test_axes_and_lengths_of_real_signals(axis: int, length: int | None) -> None:
    x = RNG.standard_normal((6, 5, 7, 1)).astype(np.float64)
    wanted = np.fft.fft(x[..., 0], length, axis=axis if axis >= 0 else axis + 1)
    constants: Any = {"n": np.int64(length)} if length else {}
    for opset in (17, 20):
        names = "x n" if length else "x" if opset == 17 else "x -"
        extra: Any = {"axis": axis} if opset == 17 else {}
        more = {} if opset == 17 else {"a": np.int64(axis)}
        nodes = [node("DFT", names + (" a" if more else ""), "y", **extra)]
        [got] = og.tenon(nodes, {"x": x}, constants=constants | more, opset=opset)
        og.same(got, pairs(wanted, np.float64), rtol=1e-12, atol=1e-12)


def test_half_spectra_and_back() -> None:
    x = RNG.standard_normal((2, 12, 1)).astype(np.float32)
    half = [node("DFT", "x - a", "y", onesided=1)]
    [spectrum] = og.tenon(half, {"x": x}, constants={"a": np.int64(1)}, opset=20)
    close(spectrum, pairs(np.fft.rfft(x[..., 0])))
    for length in (12, 11):
        back = [node("DFT", "x n a", "y", onesided=1, inverse=1)]
        constants = {"a": np.int64(1), "n": np.int64(length)}
        [got] = og.tenon(back, {"x": spectrum}, constants=constants, opset=20)
        z = spectrum[..., 0] + 1j * spectrum[..., 1]
        close(got, np.fft.irfft(z, length)[..., None].astype(np.float32))
    with pytest.raises(tn.ModelError, match="the last dimension holds real and imaginary parts"):
        og.tenon(half, {"x": x}, constants={"a": np.int64(2)}, opset=20)
    constants = {"n": np.int64(2**62), "a": np.int64(1)}
    with pytest.raises(tn.ModelError, match="a Fourier transform of length 4611686018427387904"):
        og.tenon([node("DFT", "x n a", "y")], {"x": x}, constants=constants, opset=20)


@pytest.mark.parametrize("onesided", [0, 1])
def test_frames_of_signals_of_symbolic_length(onesided: int) -> None:
    window = np.hanning(20).astype(np.float32)
    nodes = [node("STFT", "x step w n", "y", onesided=onesided)]
    constants = {"step": np.int64(7), "w": window, "n": np.int64(20)}
    x = RNG.standard_normal((2, 90, 1)).astype(np.float32)
    data = og.model(nodes, {"x": x}, constants=constants, opset=17, dims={"x": ["b", "n", 1]})
    compiled = og.network(data)
    for signal in (x, x[:1, :30], x[:, :20]):
        signal = np.ascontiguousarray(signal)
        starts = range(0, signal.shape[1] - 19, 7)
        frames = np.stack([signal[:, s : s + 20, 0] for s in starts], 1) * window
        close(
            np.asarray(compiled(signal)), pairs((np.fft.rfft if onesided else np.fft.fft)(frames))
        )
    with pytest.raises(tn.ShapeError, match=r"symbol 'n' is 19.*at least 20"):
        compiled(x[:, :19])


@pytest.mark.parametrize("periodic", [0, 1])
@pytest.mark.parametrize("name", ["HannWindow", "HammingWindow", "BlackmanWindow"])
def test_windows(name: str, periodic: int) -> None:
    a = {
        "HannWindow": (0.5, 0.5, 0),
        "HammingWindow": (25 / 46, 21 / 46, 0),
        "BlackmanWindow": (0.42, 0.5, 0.08),
    }
    i = np.arange(10) * 2 * np.pi / (10 if periodic else 9)
    a0, a1, a2 = a[name]
    expected = a0 - a1 * np.cos(i) + a2 * np.cos(2 * i)
    nodes = [node(name, "n", "y", periodic=periodic)]
    [got] = og.tenon(nodes, {}, constants={"n": np.int64(10)}, opset=17)
    og.same(got, expected.astype(np.float32), rtol=1e-6, atol=1e-7)
    nodes = [node(name, "n", "y", periodic=periodic, output_datatype=11)]
    [got] = og.tenon(nodes, {}, constants={"n": np.int64(10)}, opset=17)
    og.same(got, expected, rtol=1e-9, atol=1e-12)
    with pytest.raises(tn.ModelError, match="a window of size -1"):
        og.tenon(nodes, {}, constants={"n": np.int64(-1)}, opset=17)


def test_mel_weights() -> None:
    nodes = [node("MelWeightMatrix", "b n r low high", "y")]
    constants = {
        "b": np.int64(20),
        "n": np.int64(256),
        "r": np.int64(8192),
        "low": np.float32(20),
        "high": np.float32(4000),
    }
    og.check(nodes, {}, constants=constants, opset=17, rtol=1e-5, atol=1e-6)
    with pytest.raises(tn.ModelError, match="Hz is out of range"):
        og.tenon(nodes, {}, constants=constants | {"high": np.float32(9000)}, opset=17)
