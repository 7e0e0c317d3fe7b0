"""Transformations of weights against dense matrices, closed forms and their invariances; the summary."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gistools.errors import InputError, WeightsError
from gistools.weights import (
    SYMMETRIC,
    binary_weights,
    graph_from_matrix,
    neighbour_counts,
    row_standardise,
    spectral_standardise,
    summarise_weights,
    symmetrise,
    transform_weights,
    weights_matrix,
)


def random_w(seed, n=12, share=0.35):
    rng = np.random.default_rng(seed)
    W = rng.uniform(size=(n, n)) * (rng.uniform(size=(n, n)) < share)
    W[np.arange(n), (np.arange(n) + 1) % n] = 0.5
    np.fill_diagonal(W, 0)
    return W, graph_from_matrix(W, [f"c{i:02d}" for i in range(n)])


def dense(w):
    return w.sparse.toarray()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 5000))
def test_symmetric_forms(seed):
    W, w = random_w(seed)
    largest, mean, smallest = (dense(symmetrise(w, how)) for how in SYMMETRIC)
    assert np.array_equal(largest, np.maximum(W, W.T))
    assert mean == pytest.approx((W + W.T) / 2)
    assert np.array_equal(smallest, np.minimum(W, W.T))
    assert summarise_weights(symmetrise(w, "both")).symmetric
    assert dense(symmetrise(symmetrise(w, "mean"), "max")) == pytest.approx(mean)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 5000), scale=st.floats(1e-3, 1e3))
def test_spectral_standardisation(seed, scale):
    W, w = random_w(seed)
    truth = W / np.abs(np.linalg.eigvals(W)).max()
    assert dense(spectral_standardise(w)) == pytest.approx(truth, rel=1e-9)
    scaled = graph_from_matrix(scale * W, w.unique_ids)
    assert dense(spectral_standardise(scaled)) == pytest.approx(truth, rel=1e-9)
    standard = row_standardise(w)
    assert dense(spectral_standardise(standard)) == pytest.approx(dense(standard), rel=1e-9)


@pytest.mark.parametrize("n", [40, 900])
def test_the_largest_eigenvalue_of_small_and_large_matrices(n):
    """A ring has 2, a star the root of its rays; large ones go through Arnoldi's method."""
    from scipy import sparse

    i = np.arange(n)
    ring = sparse.csr_array((np.ones(n), (i, (i + 1) % n)), shape=(n, n))
    ring = graph_from_matrix(ring + ring.T, i)
    assert spectral_standardise(ring).adjacency.to_numpy() == pytest.approx(np.full(2 * n, 0.5), rel=1e-10)
    rays = sparse.csr_array((np.ones(n - 1), (np.zeros(n - 1, int), i[1:])), shape=(n, n))
    star = spectral_standardise(graph_from_matrix(rays + rays.T, i))
    assert star.adjacency.to_numpy() == pytest.approx(np.full(2 * n - 2, 1 / np.sqrt(n - 1)), rel=1e-10)


def test_weights_without_a_way_back_have_no_largest_eigenvalue():
    down = graph_from_matrix(np.triu(np.ones((6, 6)), 1), range(6))
    with pytest.raises(WeightsError, match="largest eigenvalue of the weights is zero"):
        spectral_standardise(down)


def test_transformations_are_applied_in_the_order_that_keeps_them():
    W, w = random_w(3)
    found = dense(transform_weights(w, binary=True, symmetric="max", row_standardise=True))
    either = ((W + W.T) > 0).astype(float)
    assert found == pytest.approx(either / either.sum(axis=1, keepdims=True))
    assert dense(transform_weights(w)) == pytest.approx(W)
    assert np.array_equal(dense(binary_weights(w)), (W > 0).astype(float))
    spectral = dense(transform_weights(w, symmetric="mean", spectral=True))
    assert np.linalg.eigvalsh(spectral).max() == pytest.approx(1, rel=1e-10)
    assert spectral == pytest.approx(spectral.T)
    with pytest.raises(InputError, match="not both"):
        transform_weights(w, row_standardise=True, spectral=True)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_weights_of_libpysal_are_taken_everywhere():
    W, w = random_w(4)
    old = w.to_W()
    for function in (binary_weights, row_standardise, spectral_standardise, symmetrise, transform_weights):
        assert dense(function(old)) == pytest.approx(dense(function(w)))
    assert summarise_weights(old) == summarise_weights(w)
    assert neighbour_counts(old).tolist() == np.count_nonzero(W, axis=1).tolist()
    assert weights_matrix(old, w.unique_ids).toarray() == pytest.approx(W)


def test_summary_tells_row_sums_components_and_islands():
    W = np.zeros((7, 7))
    W[0, 1] = W[1, 0] = W[1, 2] = W[2, 1] = 2
    W[3, 4] = W[4, 3] = 1
    seen = summarise_weights(graph_from_matrix(W, "abcdefg"))
    assert (seen.min_row_sum, seen.max_row_sum) == (0, 4)
    assert seen.mean_row_sum == pytest.approx(10 / 7)
    assert (seen.components, seen.largest_component, seen.islands) == (4, 3, ("f", "g"))
    assert "components: 4, the largest of 3 cities" in seen.summary()
    assert "row sums: 1.42857 on average, 0 to 4" in seen.summary()
    standard = summarise_weights(row_standardise(graph_from_matrix(W, "abcdefg")))
    assert not standard.row_standardised
    assert "row-standardised but for islands" in standard.summary()
