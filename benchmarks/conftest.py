"""The machine in the head of ``pytest benchmarks``, beside what pytest-benchmark keeps of it."""

from benchmarks.report import machine


def pytest_report_header():
    return f"machine: {machine()}"
