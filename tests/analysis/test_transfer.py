"""What transfer is worth: static measurements with the learners of the model."""

import numpy as np
import pytest

from analysis import transfer
from mpbf_abm import Parameters

SMALL = {
    "space.materials": 2_000,
    "space.families": 8,
    "space.properties": 2,
    "space.observed_dims": 60,
    "space.quantum_dims": 6,
    "trainers.latent_dims": 8,
    "trainers.corpus": "reachable",
    "trainers.features_growth": 6.0,
    "trainers.features_most": 64,
    "founding.records": 200,
}
P = Parameters.preset("quick").updated(SMALL)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    for name, value in {"LABELS": (30, 100), "MORE": 200, "SOURCE": 300, "PLENTY": 400, "STRUCTURES": 300}.items():
        monkeypatch.setattr(transfer, name, value)


def test_a_head_begun_from_its_own_source_or_tuned_on_nothing_stays():
    """Arms that must agree: fine-tuning on no labels, a teacher without weight, and the same labels twice."""
    lab = transfer.Laboratory(P, 3)
    rows = lab.enter("train", 1, transfer.only(transfer.MEASUREMENT, 60))
    assert (lab.world.commons.property[rows] == 1).all()
    assert not np.isin(lab.world.commons.material[rows], lab.test).any()
    encoder = lab.encoder(rows)
    model = lab.fit(encoder, rows)
    assert lab.errors(lab.tuned(model, rows[:0]), 1) == lab.errors(model, 1)
    assert lab.errors(lab.fit(lab.encoder(rows, teacher=model, weight=0.0), rows), 1) == lab.errors(model, 1)
    assert lab.errors(lab.fit(lab.encoder(rows, teacher=model, weight=1.0), rows), 1) != lab.errors(model, 1)
    assert lab.errors(lab.fit(encoder, rows, model), 1) == lab.errors(model, 1)


def test_exact_simulation_makes_fine_tuning_better_than_scratch():
    exact = P.updated({"space.bias_sd": 0.0, "space.cross_scale": 0.0, "space.properties": 1})
    ratios, agree = transfer.same(exact, 3)
    assert agree[0] > 0.999
    assert np.mean(ratios["fine-tuned", 30]) < 0.8
    assert np.mean(ratios["fine-tuned", 30]) < np.mean(ratios["fine-tuned", 100])


def test_the_tables_have_a_row_for_each_arm(capsys):
    changes = [text for name, value in SMALL.items() for text in ("--set", f"{name}={value}")]
    assert transfer.main([*changes, "--seeds", "2", "--part", "others", "--part", "labels"]) == 0
    said = capsys.readouterr().out
    for arm in ("encoder, weight 0.5", "fine-tuned head, weight 1", "no transfer", "own rows less corpus"):
        assert arm in said


def test_one_property_has_no_other(capsys):
    assert transfer.main(["--seeds", "2", "--part", "others", "--set", "space.properties=1"]) == 2
    assert "two or more" in capsys.readouterr().err


def test_labels_for_an_error_are_sought_on_the_logarithm():
    errors = np.array([1.0, 0.8, 0.6])
    assert transfer.log_labels([10, 100, 1_000], errors, 0.7) == pytest.approx(np.log(10**2.5))
    assert transfer.log_labels([10, 100, 1_000], errors, 0.5) == pytest.approx(np.log(1_000))
    assert transfer.log_labels([10, 100, 1_000], errors, 2.0) == pytest.approx(np.log(10))
