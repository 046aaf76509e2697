import os

import pytest

# Schedules are those of the rules, whatever this machine's user has tuned, in processes that tests
# start as well.
os.environ["TENON_TUNING_DIR"] = "off"

# A skip is a test that nobody sees fail: only these reasons are expected on some machines.
EXPECTED_SKIPS = ("no NVIDIA GPU", "no AVX-512", "TENON_CUDA_PATH=none")

unexpected_skips: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(expected in reason for expected in EXPECTED_SKIPS):
            unexpected_skips.append(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if unexpected_skips:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for skip in unexpected_skips:
        terminalreporter.write_line(f"SKIPPED without an expected reason: {skip}", red=True)
