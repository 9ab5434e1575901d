"""Compare what two versions of the model compute, bit by bit: those of a commit and of the working tree.

    python tests/golden.py                      the commit below against the working tree
    python tests/golden.py COMMIT --only audits --only "jobs: "
    python tests/golden.py --list

Both versions run the same configurations side by side, on one machine and in one session, since floating-point numbers
differ between kinds of CPU. Compared are digests of series, families, agents, records and outcomes of single runs, of
tables of studies and what-ifs with one and two processes, and of campaigns. Exit code 1 if a byte differs.

Configurations are written in the words of that commit, and use nothing but what `mpbf_abm` exports and its commands:
parameters, columns and places of the code may be renamed meanwhile (RENAMED, and `records`, say how).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import inspect
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

BEFORE = "8fde476"  # moves on where the model is changed on purpose
GONE = {"agents.isolated"}  # columns that have left the model
RENAMED: dict[str, str] = {}  # columns: name at that commit -> name now
NEW = {"gaussian_process_ard", "integrated_variance", "mixture"}  # choices that have come since
NEW_SHOCKS = {"host_outage", "model_freeze", "licence_end", "upkeep_decay"}

NEW_OUTCOMES = {  # indicators that have come since
    "rmse_centred",
    "rmse_centred_niche",
    "found_by_planners",
    "found_by_planners_share",
    "learning_exponent",
    "feasibility_auc",
    "error_correlation",
    "overlap_top",
    "shared_wrong_picks",
    "error_shared_corpus",
    "error_shared_encoder",
    "error_intrinsic",
    "labs_learning",
    "model_age",
    "unique_share",
    "unique_share_largest",
    "one_place_share",
    "sole_share",
    "families_revealed",
    "heaps_revealed",
    "heaps_first",
    "heaps_second",
}
ROOT = Path(__file__).parents[1]

# --------------------------------------------------------------------------- configurations

# A small community in which everything happens.
BUSY: dict[str, Any] = {
    "space.materials": 600,
    "space.families": 8,
    "founding.records": 200,
    "curators.count": 4,
    "trainers.count": 4,
    "planners.count": 8,
    "planners.experiments": 1.0,
    "trainers.retrain_interval": 3,
    "trainers.features": 48,
    "trainers.records": 120,
    "planners.panel": 6,
    "planners.candidates": 8,
    "infrastructure.repositories": 3,
    "infrastructure.providers": 2,
    "coupling.pseudo_share": 0.4,
    "curators.audit_rate": 0.3,
    "curators.provenance_errors": 0.5,
    "curators.response_dal": 0.5,
    "trainers.reuse": 0.4,
    "planners.adoption_rate": 0.5,
    "stocks.hazard": 0.02,
    "commons.forgetting": 0.02,
    "planners.acquisition": "ucb",
    "planners.proxy": 0.2,
    "stocks.lottery_share": 0.3,
    "trainers.scale": 1.5,
    "trainers.response_ral": 0.3,
    "stocks.attention": 6.0,
    "stocks.attention_cap": 12.0,
    "curators.measured_quota": 0.5,
    "trainers.fresh_floor": 0.3,
    "curators.coverage_seeking": 0.2,
    "coupling.uncertainty_ral_isl": 0.5,
    "coupling.uncertainty_dal_ral": 0.5,
    "coupling.uncertainty_modalities": 0.5,
    "planners.source": "generative",
}
SMALL = {
    "space.materials": 400,
    "space.families": 6,
    "founding.records": 100,
    "curators.count": 3,
    "trainers.count": 3,
    "trainers.retrain_interval": 3,
    "planners.count": 6,
    "planners.experiments": 1.0,
    "planners.panel": 4,
    "infrastructure.repositories": 3,
}
POLICIES = (
    "negative_results",
    "coverage_mandate",
    "measured_quota",
    "provenance_standard",
    "audits",
    "harmonisation",
    "uncertainty_aware",
    "invariance_standard",
    "model_pluralism",
    "redundancy",
    "mirrors_and_repair",
    "compute_cap",
    "equal_funding",
    "funding_lottery",
    "exploration_floor",
    "fresh_data_floor",
)
SHOCKS = (
    "repository_outage",
    "model_withdrawal",
    "poisoning",
    "functional_revision",
    "funding_cut",
    "objective_shift",
    "retraction_wave",
)
CHOICES = {
    "planners.acquisition": ("random", "greedy", "ucb", "ei", "thompson", "maxvar", "ranking"),
    "planners.source": ("uniform", "neighbourhood", "inverse", "generative"),
    "planners.adoption": ("track_record", "utility"),
    "trainers.objective": ("mixed", "masked", "contrastive", "fusion", "graph", "none"),
    "trainers.head": ("bayesian", "gaussian_process", "mean"),
    "trainers.labels": ("all", "simulated", "measured"),
    "coupling.pseudo_anchor": ("model", "property"),
    "layers.boundary_shift": ("chosen", "alternative"),
    "layers.integrity": ("chosen", "alternative"),
    "layers.steering": ("chosen", "alternative"),
    "layers.tradeoff": ("chosen", "alternative"),
}
# Every other rule and switch in a position that is not that of BUSY.
SWITCHES: dict[str, dict[str, Any]] = {
    "physical prior": {"trainers.physical_prior": True},
    "delta learning": {"trainers.delta_learning": True},
    "measured response": {"trainers.measured_response": True, "trainers.retrain_interval": 1},
    "repeats": {"planners.repeats": True},
    "masses": {"founding.mass": (1.0, 4.0, 1.0, 2.0, 1.0, 1.0, 0.5, 1.0)},
    "modalities": {"curators.modality_mix": (0.1, 0.1, 0.2, 0.2, 0.2, 0.2)},
    "utility": {
        "planners.adoption": "utility",
        "planners.utility_gaps": (1.0, 0.5),
        "planners.utility_returns": 0.3,
        "planners.entry": 2,
    },
    "grace": {"commons.forgetting": 1.0, "commons.grace": 2},
    "need": {"stocks.hazard": 0.3, "infrastructure.need": 2},
    "no models": {"trainers.count": 0, "planners.acquisition": "random"},
    "no curators": {"curators.count": 0},
    "no planners": {"planners.count": 0},
    "no correction": {"coupling.correction": 0.0},
    "closed loop": {"coupling.outer_loop": 0.3},
    "collapse": {"coupling.pseudo_share": 1.0, "coupling.pseudo_gain": 2.0, "coupling.pseudo_noise": 1.0},
    "crowd": {"planners.reinforcement": 2.0, "curators.reinforcement": 2.0},
    "balancing": {"planners.reinforcement": -1.0, "curators.reinforcement": -1.0},
    "adjacent": {
        "planners.exploration": 0.9,
        "curators.exploration": 0.9,
        "planners.adjacency": 1.0,
        "curators.adjacency": 1.0,
    },
    "floors": {"planners.exploration_floor": 0.9, "curators.exploration_floor": 0.9},
    "guided": {"curators.model_guidance": 1.0},
    "phases of matter": {
        "space.phase_jump": 2.0,
        "space.gauge_dims": 0,
        "space.spurious_dims": 0,
        "trainers.invariance": 1.0,
    },
    "merit": {"stocks.merit_share": 0.9, "stocks.lottery_share": 0.0, "stocks.matthew": 2.0},
    "wear": {"stocks.wear": 0.3, "stocks.hazard": 0.1, "stocks.hazard_steepness": 8.0},
    "overconfident": {"trainers.overconfidence": 3.0},
    "batches": {"planners.experiments": 2.6},
    "follow": {"planners.social": 1.0, "planners.adoption_rate": 1.0},
    "large models": {"trainers.scale": 4.0, "stocks.compute": 8.0, "trainers.scale_cap": 2.0},
    "rewiring": {"infrastructure.rewiring": 1.0, "infrastructure.repositories": 8},
}

Config = dict[str, Any]


def configurations() -> dict[str, Config]:
    """All configurations by name; `kind` says what is done with them."""
    out: dict[str, Config] = {}

    def run(name: str, changes: dict[str, Any] | None = None, **more: Any) -> None:
        # Many small choices in a tick: what moves a weight by a hundredth moves one of them.
        out[name] = {
            "kind": "run",
            "changes": {**BUSY, "curators.records": 60, "planners.experiments": 3.0, **(changes or {})},
            "ticks": 9,
            "seed": 3,
        } | more

    run("busy")
    run("another seed", seed=4)
    for name in POLICIES:
        run(f"policy: {name}", policies=[{"name": name, "start": 2}])
    run(
        "policy: ramped",
        policies=[{"name": "coverage_mandate", "start": 1, "end": 6, "ramp": 3, "fade": 2, "strength": 0.8}],
    )
    run("policy: own", policies=[{"name": "own", "start": 2, "set": {"planners.kappa": 3.0, "stocks.hazard": 0.3}}])
    run("policies: several", policies=[{"name": n, "start": 1 + i} for i, n in enumerate(POLICIES[:5])])
    for name in SHOCKS:
        run(f"shock: {name}", shocks=[{"name": name, "start": 3, "end": 5}])
    for target in ("largest", "correlated", 1):
        run(f"shock: target {target}", shocks=[{"name": "repository_outage", "start": 2, "target": target}])
    run(
        "shock: strong",
        shocks=[{"name": "poisoning", "start": 2, "end": 6, "strength": 0.9}, {"name": "retraction_wave", "start": 5}],
    )
    for path, values in CHOICES.items():
        for value in values:
            run(f"{path}: {value}", {path: value})
    for name, changes in SWITCHES.items():
        run(f"switch: {name}", changes)
    for preset, ticks, changes in (
        ("default", 13, {}),
        ("quick", 26, {}),
        ("faithful", 4, {}),
        ("null", 60, {}),
        ("quick", 14, SMALL),
    ):
        run(f"preset: {preset}{', small' * bool(changes)}", changes, preset=preset, ticks=ticks)
        out[f"preset: {preset}{', small' * bool(changes)}"]["changes"] = changes
    run("preset: pool", preset="pool", space="pool", ticks=12)
    run("table", space="table", ticks=5)
    run("table, years", {"founding.year": 2004}, space="dated", ticks=5)
    run("pool, smallest", preset="pool", space="pool, smallest", ticks=9)
    for name in ("preset: pool", "pool, smallest"):
        out[name]["changes"] = {}
    for name in ("table", "table, years"):
        out[name]["changes"] = {k: v for k, v in out[name]["changes"].items() if not k.startswith("space.")}
    run("reseeded", reseed={"4": 77})
    run("branched", branch=3, policies=[{"name": "audits", "start": 4}], reseed={"5": 9})
    run("own rule", planner=True)
    for rule in CHOICES["planners.acquisition"]:
        out[f"campaign: {rule}"] = {"kind": "campaign", "rule": rule}
    for name, text in STUDIES.items():
        for jobs in (1, 2):
            out[f"jobs: {name} -j {jobs}"] = {"kind": "study", "study": text, "jobs": jobs}
    for jobs in (1, 2):
        out[f"jobs: what-if -j {jobs}"] = {"kind": "what-if", "jobs": jobs}
    return out


def preset(name: str) -> str:
    """Return a preset's name in the version that runs: the earlier ones have others now."""
    from mpbf_abm.parameters import PRESETS

    return f"single-{name}" if f"single-{name}" in PRESETS else name


def toml(values: dict[str, Any]) -> str:
    """Parameters of a study file."""
    return "".join(f'"{k}" = {json.dumps(v)}\n' for k, v in values.items())


HEAD = '[study]\nname = "golden"\npreset = "quick"\nticks = 8\n'
FLOOR = '[[policy]]\nname = "exploration_floor"\nstart = 3\n[[policy]]\nname = "audits"\nstart = 4\n'
FREE = {k: v for k, v in SMALL.items() if k != "planners.count"}
VARIED = (
    '"planners.exploration" = { low = 0.0, high = 0.9 }\n"planners.count" = { low = 3, high = 6 }\n'
    '[parameters.both]\npaths = ["planners.reinforcement", "curators.reinforcement"]\nlow = 0.5\nhigh = 2.0\n'
)
SERIES = '[series]\nof = ["found_share", "rmse"]\nevery = 3\n'
OUTCOME = (
    '[outcome.peak]\nof = "families_d1"\nover = "max"\nstart = 2\nend = 6\n'
    '[outcome.found_share]\nprimary = true\nsmallest = 0.1\nbetter = "more"\n'
)
OUTAGE = '[[shock]]\nname = "repository_outage"\nstart = 2\nend = 5\n'
STUDIES = {
    "plain": f"{HEAD}[parameters]\n{toml(SMALL)}{FLOOR}[replicates]\nn = 4\n{SERIES}{OUTCOME}",
    "independent draws": f'{HEAD}crn = "none"\n[parameters]\n{toml(SMALL)}{FLOOR}[replicates]\nn = 3\n',
    "shock": f"{HEAD}[parameters]\n{toml(SMALL)}{FLOOR}{OUTAGE}[replicates]\nn = 3\n",
    "branched, own history": (
        f"{HEAD}[parameters]\n{toml(SMALL)}{FLOOR}[branch]\ntick = 3\n[replicates]\nn = 3\n{OUTCOME}"
    ),
    "branched, one history": (
        f'{HEAD}[parameters]\n{toml(SMALL)}{FLOOR}[branch]\ntick = 3\nhistory = "one"\n[replicates]\nn = 3\n'
    ),
    "one space": f"{HEAD}[space]\nsynthetic = 5\n[parameters]\n{toml(SMALL)}{FLOOR}[replicates]\nn = 2\n",
    "lhs": f'{HEAD}[parameters]\n{toml(FREE)}{VARIED}{FLOOR}[design]\nkind = "lhs"\nn = 6\n[replicates]\nn = 2\n',
    "sobol": f'{HEAD}[parameters]\n{toml(FREE)}{VARIED}[design]\nkind = "sobol"\nn = 4\n[replicates]\nn = 1\n',
    "grid, shared draws": (
        f'{HEAD}crn = "all"\n[parameters]\n{toml(FREE)}{VARIED}{FLOOR}'
        '[design]\nkind = "grid"\nlevels = 2\n[replicates]\nn = 1\n'
    ),
    "one at a time": (
        f'{HEAD}[parameters]\n{toml(FREE)}{VARIED}[design]\nkind = "one_at_a_time"\nlevels = 2\n[replicates]\nn = 1\n'
    ),
    "morris": f'{HEAD}[parameters]\n{toml(FREE)}{VARIED}[design]\nkind = "morris"\nn = 2\n[replicates]\nn = 2\n',
    "saltelli": f'{HEAD}[parameters]\n{toml(FREE)}{VARIED}[design]\nkind = "saltelli"\nn = 2\n[replicates]\nn = 1\n',
}

# --------------------------------------------------------------------------- what one version computes


def digest(values: Any) -> str:
    """Hash of a column, whatever the width of its numbers."""
    import numpy as np

    column = np.asarray(values)
    if column.dtype.kind == "f":
        data = np.ascontiguousarray(column, "<f8").tobytes()
    elif column.dtype.kind in "iub":
        data = np.ascontiguousarray(column, "<u8" if column.dtype.kind == "u" else "<i8").tobytes()
    else:
        data = "\x1f".join(map(str, column.ravel())).encode()
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def columns(name: str, frame: Any) -> dict[str, str]:
    """Digest of each column of a table."""
    return {f"{name}.{column}": digest(frame[column].to_numpy()) for column in frame.columns}


def records(ecosystem: Any) -> dict[str, str]:
    """Digest of each column of the records in the commons."""
    commons = ecosystem.world.commons
    names = (
        "key",
        "material",
        "family",
        "modality",
        "value",
        "variance",
        "origin",
        "repository",
        "producer",
        "tick",
        "federated",
        "corrupted",
        "audited",
        "alive",
    )
    return {f"records.{name}": digest(getattr(commons, name)[: commons.size]) for name in names}


def space_of(name: str, seed: int) -> Any:
    """Materials that are not synthetic ones."""
    import numpy as np
    import pandas as pd

    from mpbf_abm import MaterialsSpace

    rng = np.random.default_rng(seed)
    if name.startswith("pool"):
        x = rng.random((90, 3))
        frame = pd.DataFrame(x, columns=["heat", "time", "flow"]).assign(out=np.sin(4 * x[:, 0]) + x[:, 1] ** 2)
        return MaterialsSpace.from_pool(frame, objective="out", goal="min" if "smallest" in name else "max")
    metals, others = (
        ["Zn", "Cd", "Ga", "In", "Al", "Mg", "Ca", "Cu", "Ag", "Sn"],
        ["O", "S", "Se", "Te", "N", "P", "As", "Cl", "Br", "I"],
    )
    frame = pd.DataFrame(
        [
            (f"{a}{i}{b}{j}", 0.3 * m + 0.1 * n * i + 0.05 * j, 1990 + (3 * m + n) % 25)
            for m, a in enumerate(metals)
            for n, b in enumerate(others)
            for i in (1, 2)
            for j in (1, 3)
        ],
        columns=["formula", "gap", "year"],
    )
    frame["pbe"] = 0.6 * frame["gap"] + 0.1 * rng.normal(size=len(frame))
    years = {"year": "year"} if name == "dated" else {}
    return MaterialsSpace.from_table(frame, formula="formula", measured="gap", simulated="pbe", **years)


def make_run(config: Config) -> dict[str, str]:
    """Digests of one run."""
    import numpy as np

    from mpbf_abm import Ecosystem, ExperimentPlanner, Parameters, Policy, Run, Shock, simulate

    class Niche(ExperimentPlanner):
        def family_weights(self, share):
            return share / (1.0 + self.world.commons.visible())

        def score(self, candidates, mean, sd, scores):  # noqa: ARG002
            return scores + np.float32(0.5) * sd

    p = Parameters.preset(preset(config.get("preset", "default"))).updated(config["changes"])
    options: dict[str, Any] = {
        "policies": [Policy(**e) for e in config.get("policies", ())],
        "shocks": [Shock(**e) for e in config.get("shocks", ())],
        "space": space_of(config["space"], config["seed"]) if "space" in config else None,
        "record": ("series", "families", "agents"),
        "planners": (Niche,) if config.get("planner") else (),
    }
    reseed = {int(tick): seed for tick, seed in config.get("reseed", {}).items()} or None
    if "branch" in config:
        later = {"policies": options.pop("policies")}
        eco = Ecosystem(p, config["seed"], **options)
        for _ in range(config["branch"]):
            eco.step()
        eco = Ecosystem.restore(eco.snapshot(), reseed=reseed, **later)
        while eco.tick < config["ticks"]:
            eco.step()
        run = Run(eco, config["ticks"])
    else:
        run = simulate(p, seed=config["seed"], ticks=config["ticks"], reseed=reseed, **options)
    out = columns("series", run.series) | columns("families", run.families) | columns("agents", run.agents)
    return out | records(run.ecosystem) | {f"outcomes.{name}": digest(value) for name, value in run.summary.items()}


def make_campaign(config: Config) -> dict[str, str]:
    """Digests of a campaign on a pool."""
    from mpbf_abm import run_campaign

    # That commit has no other kernel, and no word for it.
    kernel = {"kernel": "fixed"} if "kernel" in inspect.signature(run_campaign).parameters else {}
    made = run_campaign(space_of("pool", 2), config["rule"], 5, budget=40, batch=2, noise=0.1, **kernel)
    return {f"campaign.{name}": digest(getattr(made, name)) for name in ("materials", "observed", "hits")}


def command(*arguments: object) -> None:
    """Run a command of this version in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "mpbf_abm", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"mpbf {' '.join(map(str, arguments))}: {done.stderr.strip()}")


# What follows from the clock, the machine, or the version of the software.
NOT_COMPARED = {"run", "id", "seconds", "attempts", "environment"}


def tables(folder: Path) -> dict[str, str]:
    """Digest of each column of each table in a folder."""
    import pandas as pd

    out: dict[str, str] = {}
    for path in sorted(folder.glob("*.csv")):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        if path.stem == "effects":
            # In the order of the indicators now.
            frame = frame[~frame["outcome"].isin(NEW_OUTCOMES)].sort_values("outcome", ignore_index=True)
        out |= columns(path.stem, frame[[c for c in frame.columns if c not in NOT_COMPARED]])
    return out


def make_study(config: Config) -> dict[str, str]:
    """Digests of all tables of a study."""
    with tempfile.TemporaryDirectory() as place:
        file, out, to = (Path(place) / n for n in ("golden.toml", "runs", "tables"))
        file.write_text(config["study"].replace('"quick"', f'"{preset("quick")}"'), encoding="utf-8")
        command("study", "run", file, "--quiet", "--jobs", config["jobs"], "--out", out)
        command("study", "export", out, "--to", "csv", "--out", to)
        return tables(to)


# Intervals of `mpbf run` are those of `mpbf compare` now: they hold together, and a factor of infinity is none.
OTHER_RULE = {f"effects.{column}" for column in ("low", "high", "vrf", "identical")}


def make_whatif(config: Config) -> dict[str, str]:
    """Digests of all tables of a what-if."""
    import mpbf_abm

    with tempfile.TemporaryDirectory() as place:
        sets = [f"--set={k}={v}" for k, v in SMALL.items()]
        # Shocks hit both arms now; what they did before has a switch.
        sets += ["--no-shocks-in-baseline"] * ("RunSpec" in mpbf_abm.__all__)
        command(
            "run",
            f"--preset={preset('quick')}",
            *sets,
            "--ticks=9",
            "--replicates=3",
            "--policy=exploration_floor:start=3",
            "--shock=funding_cut:start=5",
            "--jobs",
            config["jobs"],
            "--quiet",
            "--out",
            f"{place}/out",
        )
        made = tables(Path(place) / "out")
        return {name: digest for name, digest in made.items() if name not in OTHER_RULE}


MAKERS: dict[str, Callable[[Config], dict[str, str]]] = {
    "run": make_run,
    "campaign": make_campaign,
    "study": make_study,
    "what-if": make_whatif,
}


def work(names: Sequence[str]) -> None:
    """Print the digests of some configurations, one line of JSON each; runs with one version first on the path."""
    import mpbf_abm

    here = Path(mpbf_abm.__file__).resolve()
    if not here.is_relative_to(Path.cwd().resolve()):
        raise RuntimeError(f"{here} is not the version in {Path.cwd()}")
    known = configurations()
    for name in names:
        noise = io.StringIO()
        try:
            with contextlib.redirect_stdout(noise):
                made = MAKERS[known[name]["kind"]](known[name])
        except Exception as error:  # noqa: BLE001 (what cannot be computed counts as a difference)
            made = {"raised": f"{type(error).__name__}: {error}"}
        print(json.dumps([name, made]), flush=True)


# --------------------------------------------------------------------------- two versions side by side


def digests(tree: Path, names: Sequence[str]) -> subprocess.Popen[str]:
    """Start to compute with the version in a folder."""
    env = os.environ | {
        "PYTHONPATH": str(tree),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "Agg",
    }
    code = "import sys; sys.path.insert(1, sys.argv[1]); import golden; golden.work(sys.argv[2:])"
    return subprocess.Popen(
        [sys.executable, "-c", code, str(Path(__file__).parent), *names],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tree,
    )


def differences(before: Path, now: Path, names: Sequence[str]) -> Iterator[tuple[str, list[str], int]]:
    """For each configuration: what differs between the versions in two folders, and how much was compared.

    Yields
    ------
    tuple of name, list of the columns that differ, number of columns
    """
    old, new = digests(before, names), digests(now, names)
    assert old.stdout is not None
    assert new.stdout is not None
    first: dict[str, dict[str, str]] = {}
    try:
        for name in names:
            (a, then), (b, here) = (json.loads(line) for line in (old.stdout.readline(), new.stdout.readline()))
            assert a == b == name
            what, _, jobs = name.partition(" -j ")
            same_jobs = first.setdefault(what, here)
            wrong = [c for c in then if c not in GONE and then[c] != here.get(RENAMED.get(c, c))]
            wrong += [f"{c} (with {jobs} processes)" for c in same_jobs if here.get(c) != same_jobs[c]]
            if "raised" in then or "raised" in here:
                wrong = [f"{then.get('raised', 'is computed')} | {here.get('raised', 'is computed')}"]
            yield name, wrong, len(then)
    finally:
        for process in (old, new):
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]


@contextlib.contextmanager
def tree_of(commit: str) -> Iterator[Path]:
    """Folder with the files of a commit."""
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "prune"], check=True)  # of a run that was killed
        subprocess.run([*git, "add", "--detach", "--quiet", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", nargs="?", default=BEFORE)
    parser.add_argument(
        "--only", action="append", metavar="WORD", help="configurations whose name holds this; may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the configurations")
    asked = parser.parse_args(arguments)
    names = [n for n in configurations() if not asked.only or any(word in n for word in asked.only)]
    if asked.list or not names:
        print("\n".join(names))
        return 0 if names else 2
    bad = compared = 0
    with tree_of(asked.commit) as before:
        for name, wrong, size in differences(before, ROOT, names):
            compared += size
            bad += bool(wrong)
            more = f" and {len(wrong) - 6} more" if len(wrong) > 6 else ""
            print(
                f"{'DIFFERS' if wrong else 'equal  '}  {name}" + (f": {', '.join(wrong[:6])}{more}" if wrong else ""),
                flush=True,
            )
    print(f"{len(names)} configurations, {compared} columns: {bad} differ from {asked.commit}")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
