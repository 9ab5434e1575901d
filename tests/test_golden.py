"""The golden script: it knows every rule, finds the working tree equal to its commit, and notices a wrong line."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import golden
import pytest

from mpbf_abm.model.interventions import POLICIES
from mpbf_abm.model.shocks import SHOCKS
from mpbf_abm.parameters import ADDED, PATHS, PRESETS, options

# Wrong rules: file, what stands there, what is put there, and the one of NOTICING that must notice.
WRONG = {
    "failures are published a little more often": (
        "model/publication.py",
        "results.lot >= p.publication_bias",
        "results.lot >= 0.9 * p.publication_bias",
        "busy",
    ),
    "rarity a little steeper": ("model/attention.py", "1.0 / (1.0 + x)", "1.0 / (1.0 + x) ** 1.2", "busy"),
    "a bonus of one in fifty": (
        "learning/acquisition.py",
        "np.float32(kappa) * sd",
        "np.float32(1.02 * kappa) * sd",
        "busy",
    ),
    "a fade a tick late": (
        "model/interventions.py",
        "(self.end - tick) / self.fade",
        "(self.end - tick + 1) / self.fade",
        "policy: ramped",
    ),
}
NOTICING = ["busy", "policy: ramped", "preset: null"]
SOME = [name for i, name in enumerate(golden.configurations()) if i % 9 == 0 and not name.startswith("jobs")]
JOBS = ["jobs: branched, one history -j 1", "jobs: branched, one history -j 2"]


def test_every_policy_shock_choice_and_preset_is_among_the_configurations() -> None:
    assert set(golden.POLICIES) == set(POLICIES)
    assert set(golden.SHOCKS) == set(SHOCKS) - golden.NEW_SHOCKS
    choices = {
        path: tuple(sorted(set(options(path)) - golden.NEW)) for path in PATHS if options(path) and path not in ADDED
    }
    assert choices == {path: tuple(sorted(names)) for path, names in golden.CHOICES.items()}
    configurations = golden.configurations()
    assert {c["preset"] for c in configurations.values() if "preset" in c} == {
        name.removeprefix("single-") for name in (*PRESETS, "null")
    }
    assert len(configurations) >= 60


def has_history() -> bool:
    """Whether this is a repository with its whole history, and not an archive of one version."""
    asked = ["git", "-C", str(golden.ROOT), "rev-parse", "--is-shallow-repository"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() == "false"


@pytest.mark.skipif(not has_history(), reason="needs the history of the repository")
@pytest.mark.parametrize("names", [SOME, pytest.param(JOBS, marks=pytest.mark.nightly)], ids=["some", "jobs"])
def test_the_working_tree_equals_the_commit_to_the_bit(names: list[str]) -> None:
    with golden.tree_of(golden.BEFORE) as before:
        found = {name: (wrong, size) for name, wrong, size in golden.differences(before, golden.ROOT, names)}
    assert list(found) == names
    assert {name: wrong for name, (wrong, _) in found.items() if wrong} == {}
    # Series, families, agents, records and outcomes were there to be compared.
    assert all(size > 150 for name, (_, size) in found.items() if name in SOME and not name.startswith("campaign"))


@pytest.mark.parametrize(
    "name",
    [
        "a fade a tick late",
        *(pytest.param(name, marks=pytest.mark.nightly) for name in WRONG if name != "a fade a tick late"),
    ],
)
def test_a_wrong_line_is_noticed(name: str, tmp_path: Path) -> None:
    file, right, wrong, where = WRONG[name]
    shutil.copytree(golden.ROOT / "mpbf_abm", tmp_path / "mpbf_abm", ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / "mpbf_abm" / file
    text = path.read_text(encoding="utf-8")
    assert text.count(right) >= 1
    path.write_text(text.replace(right, wrong), encoding="utf-8")
    noticed = {n for n, different, _ in golden.differences(golden.ROOT, tmp_path, NOTICING) if different}
    assert where in noticed
    assert "preset: null" not in noticed


def test_what_cannot_be_computed_is_not_equal(tmp_path: Path) -> None:
    shutil.copytree(golden.ROOT / "mpbf_abm", tmp_path / "mpbf_abm", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "mpbf_abm" / "model" / "run.py").write_text("raise RuntimeError('gone')\n", encoding="utf-8")
    ((_, wrong, _),) = golden.differences(golden.ROOT, tmp_path, ["preset: null"])
    assert wrong == ["is computed | RuntimeError: gone"]
