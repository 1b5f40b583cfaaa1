"""Tells the figures of the sweeps at the end of the run."""

import pytest

from tests.dictator.sweep import FIGURES


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for (name, flavour), figures in FIGURES.items():
        terminalreporter.write_line(f"{name}, {flavour}: {figures}")
    for name in dict.fromkeys(name for name, _ in FIGURES):
        of_name = [figures for (each, _), figures in FIGURES.items() if each == name]
        terminalreporter.write_line(
            f"{name}: {sum(each.runs for each in of_name)} runs, {sum(each.missing for each in of_name)} missing, "
            f"{sum(each.phantom for each in of_name)} phantom, {sum(each.stuck for each in of_name)} stuck"
        )
