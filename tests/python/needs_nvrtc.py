"""Tests that compile CUDA fail where NVRTC is missing; only TENON_CUDA_PATH=none skips them."""

import os

import pytest

needs_nvrtc = pytest.mark.skipif(
    os.environ.get("TENON_CUDA_PATH") == "none", reason="TENON_CUDA_PATH=none"
)
