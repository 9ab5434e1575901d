"""Random input and random communities (:mod:`fuzz`): no traceback, no hang, nothing outside its range."""

import fuzz
import pytest


@pytest.mark.parametrize(
    ("inputs", "communities", "seed"), [(30, 6, 5), pytest.param(300, 100, 6, marks=pytest.mark.nightly)]
)
def test_random_input_and_communities(inputs, communities, seed):
    faults, _ = fuzz.run(inputs, communities, seed, jobs=1)
    assert faults == []


def test_a_traceback_a_silent_refusal_and_a_raw_sign_are_faults(monkeypatch):
    def says(code, text):
        def main(_):
            print(text, file=fuzz.sys.stderr, end="")
            raise SystemExit(code)

        monkeypatch.setattr(fuzz.cli, "main", main)
        return fuzz.fault_of_input([])

    assert says(2, "mpbf: x must be above 0\n") == says(0, "") == ""
    assert "without a word" in says(2, "")
    assert "exit code 1" in says(1, "mpbf: no\n")
    assert "lines" in says(2, "mpbf: \x1b[31mred\n")
    monkeypatch.setattr(fuzz.cli, "main", lambda _: 1 / 0)
    assert "ZeroDivisionError" in fuzz.fault_of_input([])
