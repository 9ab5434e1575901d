"""The synthetic space: sizes, blocks, properties and biases are what their parameters say."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from mpbf_abm.data.synthetic import bias_field, family_rows, knn_similarity, random_field, top_set
from mpbf_abm.errors import ConfigurationError, DataError
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.parameters import Parameters
from mpbf_abm.streams import Streams

Float = NDArray[np.float64]
SMALLEST_P = 7e-6


@pytest.fixture(scope="module")
def default() -> MaterialsSpace:
    return MaterialsSpace.synthetic(Parameters.preset("single-default"), seed=11)


def small(seed: int = 0, **changes: Any) -> MaterialsSpace:
    return MaterialsSpace.synthetic(
        Parameters.preset("single-default"), seed=seed, **({"materials": 1_200, "families": 6} | changes)
    )


def quantum(space: MaterialsSpace) -> NDArray[np.float32]:
    return space.descriptors[:, : space.dims["quantum"]]


def spurious(space: MaterialsSpace) -> NDArray[np.float32]:
    return space.descriptors[:, space.dims["quantum"] + space.dims["meso"] :]


def within(values: Float, family: NDArray[Any]) -> Float:
    """Values less their family mean."""
    return values - (np.bincount(family, values) / np.bincount(family))[family]


# --------------------------------------------------------------------------- sizes


def test_family_sizes_are_as_concentrated_as_real_databases(default: MaterialsSpace) -> None:
    sizes = np.sort(default.family_sizes)
    n = len(sizes)
    assert sizes.sum() == default.size == 20_000
    assert sizes[-n // 10 :].sum() / sizes.sum() == pytest.approx(0.50, abs=0.005)
    gini = (2 * np.arange(1, n + 1) - n - 1) @ sizes / (n * sizes.sum())
    assert gini == pytest.approx(0.56, abs=0.005)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 0.9, 2.0])
def test_family_sizes_follow_the_power_law(exponent: float) -> None:
    sizes = np.diff(family_rows(1_000_000, 50, exponent))
    law = np.arange(1, 51) ** -exponent
    np.testing.assert_allclose(sizes, 1_000_000 * law / law.sum(), rtol=2e-3, atol=2)


@given(st.integers(1, 300), st.integers(0, 3_000), st.floats(0, 3))
def test_family_rows_cover_every_material_once_with_no_empty_family(families: int, more: int, exponent: float) -> None:
    start = family_rows(families + more, families, exponent)
    sizes = np.diff(start)
    assert start[0] == 0
    assert start[-1] == families + more
    assert sizes.min() >= 1
    assert np.all(np.diff(sizes) <= 0)


# --------------------------------------------------------------------------- property and simulation


def test_property_and_proxy_are_standardised(default: MaterialsSpace) -> None:
    for values in (default.property, default.proxy):
        assert float(values.mean(dtype=np.float64)) == pytest.approx(0, abs=1e-4)
        assert float(values.std(dtype=np.float64)) == pytest.approx(1, abs=1e-4)
    assert abs(np.corrcoef(default.property, default.proxy)[0, 1]) < 1e-3


def test_without_bias_and_cross_scale_the_simulation_is_right() -> None:
    space = small(bias_sd=0.0, bias_offset=0.0, cross_scale=0.0, phase_jump=1.0)
    np.testing.assert_allclose(space.simulated, space.property, atol=2e-5)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_the_simulation_misses_the_cross_scale_share_only(share: float) -> None:
    space = small(materials=4_000, bias_sd=0.0, bias_offset=0.0, cross_scale=share)
    missed = (space.property - space.simulated).astype(np.float64)
    # The two fields are independent draws on 4,000 correlated points: their covariance moves the share.
    assert missed.var() == pytest.approx(share, abs=0.12 * (share > 0) + 1e-9)


def test_the_cross_scale_part_depends_on_the_meso_block() -> None:
    unbiased = {"space.bias_sd": 0.0, "space.bias_offset": 0.0}
    p = Parameters.preset("single-default").replace(
        **{"space.materials": 400, "space.families": 2, "space.near_duplicates": 0.0, **unbiased}
    )
    space = MaterialsSpace.synthetic(p, seed=3)
    rows = np.concatenate(
        [quantum(space) / np.float32(p.space.ruggedness), space.descriptors[:, 24:28] / np.float32(2)], axis=1
    )
    cross = random_field(Streams(3), "space.property.cross", rows, 1.0)
    missed = space.property - space.simulated  # without bias, what simulation cannot see
    assert np.corrcoef(cross, missed)[0, 1] > 0.9999
    shuffled = rows.copy()
    shuffled[:, 24:] = shuffled[::-1, 24:]
    assert np.corrcoef(random_field(Streams(3), "space.property.cross", shuffled, 1.0), missed)[0, 1] < 0.9


def test_a_smaller_length_scale_is_more_rugged() -> None:
    steps = []
    for ruggedness in (2.0, 6.0, 18.0):
        space = small(cross_scale=0.0, ruggedness=ruggedness, near_duplicates=0.0)
        nearest = cKDTree(quantum(space)).query(quantum(space), k=2)[1][:, 1]
        steps.append(float(np.mean(np.abs(space.property - space.property[nearest]))))
    assert steps[0] > 1.5 * steps[1]
    assert steps[1] > steps[2]


def test_a_phase_jump_splits_the_property() -> None:
    gaps = []
    for jump in (0.0, 5.0):
        values = np.sort(small(materials=3_000, phase_jump=jump, cross_scale=0.0).property.astype(np.float64))
        middle = values[300:-300]
        gaps.append(np.diff(middle).max())
    assert gaps[1] > 5 * gaps[0]


def test_random_fields_have_unit_prior_variance_and_their_length_scale() -> None:
    x = np.zeros((2, 5), np.float32)
    x[1, 0] = 1.5
    values = np.array([random_field(Streams(seed), "field", x, 1.5) for seed in range(1_500)], np.float64)
    bound = 4.5 * np.sqrt(2 / 1_500)
    assert abs(values[:, 0].var() - 1) < bound
    assert abs(np.mean(values[:, 0] * values[:, 1]) - np.exp(-0.5)) < bound


def test_random_fields_do_not_depend_on_which_rows_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    x = Streams(0).normal("x", 0, (700, 6)).astype(np.float32)
    whole = random_field(Streams(1), "f", x, 2.0)
    np.testing.assert_allclose(random_field(Streams(1), "f", x[300:310], 2.0), whole[300:310], atol=1e-5)
    monkeypatch.setattr("mpbf_abm.data.synthetic.CHUNK", 64)
    np.testing.assert_allclose(random_field(Streams(1), "f", x, 2.0), whole, atol=1e-5)


@pytest.mark.parametrize(
    "shares", [(0.2, 0.6, 0.2), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.5, 0.0)]
)
def test_bias_variance_divides_by_its_shares(shares: tuple[float, float, float]) -> None:
    between, smooth, scatter = shares
    changes = {
        "space.bias_family": between,
        "space.bias_smooth": smooth,
        "space.bias_scatter": scatter,
        "space.bias_sd": 0.5,
        "space.bias_offset": -0.3,
        "space.families": 20,
    }
    p = Parameters.preset("single-default").replace(**changes).space
    n, k = 20_000, 20
    family = np.repeat(np.arange(k), n // k)
    x = (1.6 * Streams(9).normal("x", 0, (n, 4))).astype(np.float32)
    x = np.concatenate([x, np.zeros((n, 20), np.float32)], axis=1)
    bias = bias_field(p, Streams(4), x, family, np.eye(k)).astype(np.float64)
    means = np.bincount(family, bias) / (n / k)
    noise = 0.25 * scatter / (n / k)  # what scatter adds to the variance of family means
    assert means.mean() == pytest.approx(-0.3, abs=4.5 * np.sqrt(noise / k) + 1e-5)
    slack = 4.5 * np.sqrt((2 * noise**2 + 4 * noise * 0.25 * between) / k) + noise + 1e-5
    assert means.var() == pytest.approx(0.25 * between, abs=slack)
    inner = within(bias, family)
    # Smooth and scatter parts are drawn apart, so their product moves the sum a little.
    cross = 4.5 * 2 * 0.25 * np.sqrt(smooth * scatter / n) + 4.5 * 0.25 * scatter * np.sqrt(2 / n)
    assert inner.var() == pytest.approx(0.25 * (smooth + scatter), abs=cross + noise + 1e-5)
    nearest = cKDTree(x[:, :4]).query(x[:, :4], k=2)[1][:, 1]
    same = family[nearest] == family
    alike = np.mean((inner[same] - inner[nearest[same]]) ** 2) / 2
    slack = 0.02 + 4.5 * 0.25 * scatter * np.sqrt(3 / same.sum())
    assert alike == pytest.approx(0.25 * scatter, abs=slack), "only the scatter differs between neighbours of a family"


# --------------------------------------------------------------------------- spurious block


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_spurious_columns_follow_the_property_in_dense_families_only(rho: float) -> None:
    space = MaterialsSpace.synthetic(
        Parameters.preset("single-default"), seed=2, materials=8_000, families=20, spurious_correlation=rho
    )
    dense = space.dense[space.family]
    for column in spurious(space).T:
        y = space.property
        for mask, wanted in (
            (dense, rho * y[dense].std() / np.sqrt(rho**2 * y[dense].var() + 1 - rho**2)),
            (~dense, 0.0),
        ):
            r = np.corrcoef(column[mask], y[mask])[0, 1]
            assert abs(np.arctanh(r) - np.arctanh(wanted)) < 4.5 / np.sqrt(mask.sum())


def test_spurious_columns_have_the_same_marginal_law_everywhere(default: MaterialsSpace) -> None:
    space, p = default, Parameters.preset("single-default").space
    dense, rho = space.dense[space.family], p.spurious_correlation
    # The law that a random material's property would give.
    draws = Streams(77)
    y = space.property[(draws.uniform("y", 0, 50_000) * space.size).astype(np.int64)]
    law = p.spurious_amplitude * (rho * y + np.sqrt(1 - rho**2) * draws.normal("n", 0, 50_000))
    for column in spurious(space).T:
        assert stats.ks_2samp(column[~dense], law).pvalue > SMALLEST_P
        assert column[dense].std() == pytest.approx(column[~dense].std(), rel=0.05)
        assert abs(column[dense].mean() - column[~dense].mean()) < 0.1 * p.spurious_amplitude
    assert spurious(space).std() == pytest.approx(p.spurious_amplitude, rel=0.03)


@pytest.mark.parametrize(("share", "count"), [(0.1, 2), (0.5, 10), (1.0, 20)])
def test_dense_families_are_the_largest(share: float, count: int) -> None:
    space = small(families=20, dense_share=share)
    assert space.dense.sum() == count
    assert space.family_sizes[space.dense].min() >= space.family_sizes[~space.dense].max(initial=0)


# --------------------------------------------------------------------------- chemistry of families


def overlaps(space: MaterialsSpace) -> tuple[Float, Float]:
    """Mean squared cosine of the angles between families' own directions, for linked and unlinked pairs."""
    bases = []
    for k in range(space.families):
        rows = quantum(space)[space.start[k] : space.start[k + 1]].astype(np.float64)
        bases.append(np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)[2][:4])
    stack = np.array(bases)
    shared = (np.einsum("aid,bjd->abij", stack, stack) ** 2).sum(axis=(2, 3)) / 4
    upper = np.triu_indices(space.families, 1)
    linked = space.similarity[upper] > 0
    return shared[upper][linked], shared[upper][~linked]


def test_similar_families_share_more_of_their_chemistry() -> None:
    space = MaterialsSpace.synthetic(
        Parameters.preset("single-default"), seed=5, materials=6_000, families=30, family_exponent=0.0
    )
    linked, unlinked = overlaps(space)
    assert stats.ttest_ind(linked, unlinked, equal_var=False).statistic > 4.5
    assert unlinked.mean() < 0.6, "dissimilar families have directions of their own"


def test_a_larger_shared_share_raises_the_overlap() -> None:
    means = []
    for share in (0.0, 0.2, 0.9, 1.0):
        space = MaterialsSpace.synthetic(
            Parameters.preset("single-default"),
            seed=5,
            materials=4_000,
            families=20,
            family_exponent=0.0,
            shared_chemistry=share,
        )
        means.append(float(overlaps(space)[1].mean()))
    assert means == sorted(means)
    assert means[0] < 0.35  # four random directions of 24 share a sixth
    assert means[-1] > 0.98


def test_materials_of_a_family_vary_along_few_directions() -> None:
    space = small(chemistry_rank=3, near_duplicates=0.0)
    rows = quantum(space)[: space.start[1]].astype(np.float64)
    spread = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) / np.sqrt(len(rows))
    np.testing.assert_allclose(spread[:3], 1.6, rtol=0.25)
    assert spread[3:].max() < 0.2


def redundancy(space: MaterialsSpace) -> float:
    """Share of materials beyond the first of each group of near copies."""
    tree = cKDTree(np.concatenate([quantum(space), space.descriptors[:, 24:28]], axis=1))
    near = tree.sparse_distance_matrix(tree, 0.45, output_type="coo_matrix")
    groups, label = connected_components(near, directed=False)
    first = np.unique(label, return_index=True)[1]
    np.testing.assert_array_equal(space.family, space.family[first][label])
    return 1 - groups / space.size


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5])
def test_the_asked_share_of_materials_nearly_copies_another_of_its_family(share: float) -> None:
    n = 6_000
    found = redundancy(small(materials=n, near_duplicates=share))
    # A copy of itself is none: that, and copies in small families, cost a little.
    assert found == pytest.approx(share, abs=0.1 * share + 4.5 * np.sqrt(share * (1 - share) / n))


# --------------------------------------------------------------------------- feasible and top


@pytest.mark.parametrize("share", [0.3, 0.85, 1.0])
def test_the_feasible_share_is_as_asked(share: float) -> None:
    space = small(materials=2_000, feasible=share)
    assert space.feasible.mean() == pytest.approx(share, abs=1.5 / 2_000)


def test_feasibility_is_partly_smooth() -> None:
    space = small(materials=4_000, feasible=0.5, near_duplicates=0.0)
    nearest = cKDTree(quantum(space)).query(quantum(space), k=2)[1][:, 1]
    agree = np.mean(space.feasible == space.feasible[nearest])
    smooth, scattered = (small(materials=4_000, feasible=0.5, feasible_scatter=v, near_duplicates=0.0) for v in (0, 1))
    assert np.mean(smooth.feasible == smooth.feasible[nearest]) > agree + 0.1
    assert abs(np.mean(scattered.feasible == scattered.feasible[nearest]) - 0.5) < 4.5 * np.sqrt(0.25 / 4_000)
    assert agree > 0.5 + 4.5 * np.sqrt(0.25 / 4_000)
    assert agree < 0.95


def test_the_top_set_is_the_best_of_the_feasible(default: MaterialsSpace) -> None:
    feasible, top = default.feasible, default.top
    assert top.sum() == round(0.01 * feasible.sum())
    assert feasible[top].all()
    assert default.property[top].min() >= default.property[feasible & ~top].max()


def test_the_top_set_breaks_ties_by_row_and_has_at_least_one() -> None:
    values, feasible = np.array([1, 3, 3, 3, 9], np.float32), np.array([1, 1, 1, 1, 0], bool)
    assert np.flatnonzero(top_set(values, feasible, 0.5)).tolist() == [1, 2]
    assert np.flatnonzero(top_set(values, feasible, 1e-9)).tolist() == [1]


@pytest.mark.parametrize("level", [0.0, 0.4, 1.5])
def test_difficulty_is_a_positive_factor_about_one(level: float) -> None:
    logs = np.log(small(difficulty=level).difficulty.astype(np.float64))
    assert logs.mean() == pytest.approx(0, abs=1e-4)
    assert logs.std() == pytest.approx(level, abs=1e-4)


# --------------------------------------------------------------------------- similarity and access


def test_the_similarity_graph_is_symmetric_in_its_links_and_row_normalised(default: MaterialsSpace) -> None:
    P = default.similarity
    np.testing.assert_allclose(P.sum(axis=1), 1)
    assert not np.diag(P).any()
    np.testing.assert_array_equal(P > 0, (P > 0).T)
    assert (P > 0).sum(axis=1).min() >= 5
    graph = default.similarity_graph()
    assert graph.number_of_nodes() == 100
    assert graph.number_of_edges() == (P > 0).sum() // 2
    assert graph.nodes[3] == {"name": "family 3", "size": int(default.family_sizes[3])}


def test_a_family_like_no_other_keeps_its_own_weight() -> None:
    affinity = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(knn_similarity(affinity), [[0, 1, 0], [1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(knn_similarity(np.ones((1, 1))), [[1]])


def test_only_the_strongest_links_stay() -> None:
    affinity = np.array([[0, 3, 1], [3, 0, 2], [1, 2, 0]], float)
    np.testing.assert_allclose(knn_similarity(affinity, 1), [[0, 1, 0], [0.6, 0, 0.4], [0, 1, 0]])


def test_ambient_rows_place_the_gauge_between_meso_and_spurious() -> None:
    space = small(gauge_amplitude=2.0)
    gauge = np.arange(12, dtype=np.float32).reshape(2, 6)
    rows = space.ambient_rows(np.array([7, 3]), gauge)
    assert rows.shape == (2, space.width)
    np.testing.assert_array_equal(rows[:, space.ambient["gauge"]], 2 * gauge)
    np.testing.assert_array_equal(rows[:, space.ambient["quantum"]], space.descriptors[[7, 3], :24])
    np.testing.assert_array_equal(rows[:, space.ambient["meso"]], space.descriptors[[7, 3], 24:28])
    np.testing.assert_array_equal(rows[:, space.ambient["spurious"]], space.descriptors[[7, 3], 28:])
    assert space.causal.sum() == 28
    assert space.causal[:28].all()


@pytest.mark.parametrize("size", [2, 4, 6, 12, 31, 33, 200])
def test_neighbours_are_other_materials_of_the_family_each_once_where_there_are_enough(size: int) -> None:
    space = small(materials=3 * size, families=3, family_exponent=0.0)
    rows = np.arange(space.size)
    near = space.neighbours(rows)
    assert near.shape == (space.size, 5)
    np.testing.assert_array_equal(space.family[near], np.broadcast_to(space.family[:, None], near.shape))
    assert not np.any(near == rows[:, None]), "a material is not its own neighbour"
    assert all(len(set(row)) == min(5, size - 1) for row in near.tolist())


def test_neighbours_are_the_nearest_of_a_small_family() -> None:
    space = small(materials=60, families=2, family_exponent=0.0, near_duplicates=0.0)
    for row in (0, 17, 45):
        members = np.flatnonzero(space.family == space.family[row])
        distance = np.linalg.norm(quantum(space)[members] - quantum(space)[row], axis=1)
        assert set(space.neighbours(np.array([row]))[0].tolist()) == set(members[np.argsort(distance)[1:6]].tolist())


def test_neighbours_of_a_row_do_not_depend_on_the_others_asked_for(default: MaterialsSpace) -> None:
    np.testing.assert_array_equal(default.neighbours(np.array([5, 900]))[1], default.neighbours(np.array([900]))[0])


def test_a_family_of_one_is_its_own_neighbour() -> None:
    np.testing.assert_array_equal(
        small(materials=6, families=6).neighbours(np.arange(6)), np.tile(np.arange(6)[:, None], 5)
    )


# --------------------------------------------------------------------------- seeds and sizes

ARRAYS = ("descriptors", "property", "simulated", "difficulty", "feasible", "proxy", "similarity", "start", "top")


def test_a_seed_makes_one_space_and_another_seed_another() -> None:
    a, b, c = small(3), small(3), small(4)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    for name in ("descriptors", "property", "simulated", "difficulty", "feasible", "proxy", "similarity", "top"):
        assert not np.array_equal(getattr(a, name), getattr(c, name))
    assert a.origin["seed"] == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"materials": 500, "families": 1},
        {"materials": 40, "families": 40},
        {"materials": 2, "families": 1},
        {"materials": 2, "families": 2},
        {"gauge_dims": 0},
        {"spurious_dims": 0},
        {"quantum_dims": 4, "chemistry_rank": 4, "meso_dims": 1},
        {"chemistry_rank": 1},
        {"cross_scale": 1.0},
        {"feasible": 1.0, "near_duplicates": 0.9, "spurious_correlation": 1.0},
        {"family_exponent": 3.0, "ruggedness": 0.1, "difficulty": 0.0, "bias_length": 0.1},
        {"materials": 66_000, "families": 7},
    ],
)
def test_spaces_of_other_shapes_are_whole(changes: dict[str, Any]) -> None:
    space = small(**changes)
    assert space.size == changes.get("materials", 1_200)
    assert space.families == changes.get("families", 6)
    assert float(space.property.std()) == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(space.similarity.sum(axis=1), 1)
    assert space.top.any()
    assert space.feasible[space.top].all()
    assert space.ambient_rows(np.array([0]), np.zeros((1, space.dims["gauge"]), np.float32)).shape == (1, space.width)
    np.testing.assert_array_equal(np.bincount(space.family), space.family_sizes)


def test_a_copy_of_a_space_is_the_space() -> None:
    space = small()
    assert copy.deepcopy(space) is space


def test_values_convert_to_the_unit_of_the_data(default: MaterialsSpace) -> None:
    assert default.in_unit(1.5) == 1.5


def test_a_bad_parameter_of_a_space_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"space\.familes.*did you mean 'space\.families'"):
        MaterialsSpace.synthetic(familes=3)


def test_a_space_that_is_not_whole_tells_every_fault() -> None:
    space = small()
    parts = {name: getattr(space, name) for name in space.__dataclass_fields__}
    broken = parts | {
        "property": np.where(np.arange(1_200) == 3, np.nan, space.property),
        "feasible": np.zeros(1_200, bool),
        "start": np.array([0, 0, *space.start[2:]]),
        "dims": dict(space.dims) | {"meso": 9},
    }
    with pytest.raises(DataError) as caught:
        MaterialsSpace(**broken)
    text = str(caught.value)
    assert len(caught.value.faults) == 4
    for told in (
        "empty families: family 0",
        "descriptors have shape",
        "property holds values that are not finite",
        "no material is feasible",
    ):
        assert told in text
