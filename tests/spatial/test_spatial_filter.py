"""The spatial filter against dense linear algebra, by both of its ways."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse

from gistools.errors import WeightsError
from gistools.spatial.operator import SpatialFilter, traces_at_zero


def random_w(seed, n=30, *, symmetric=False, standard=False):
    rng = np.random.default_rng(seed)
    W = rng.uniform(size=(n, n)) * (rng.uniform(size=(n, n)) < 0.15)
    W = (W + W.T) / 2 if symmetric else W
    np.fill_diagonal(W, 0)
    W[0, 1] = W[1, 0] = 1.0
    if standard:
        W = np.divide(W, W.sum(axis=1, keepdims=True), out=np.zeros_like(W), where=W.sum(axis=1, keepdims=True) > 0)
    return W


@pytest.mark.parametrize("way", ["eigenvalues", "sparse LU"])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("standard", [True, False])
def test_determinant_traces_and_sums(monkeypatch, way, symmetric, standard):
    W = random_w(1, 60, symmetric=symmetric, standard=standard)
    if way == "sparse LU":
        monkeypatch.setattr("gistools.spatial.operator.DENSE_UNITS", 10)
        monkeypatch.setattr("gistools.spatial.operator.SPARSE_DENSITY", 1.0)
    filter_ = SpatialFilter(sparse.csr_array(W))
    assert filter_.method == way
    rhos = filter_.bounds[1] * np.array([-0.5, -0.1, 0.3, 0.8])
    shares = filter_.mean_diagonals(rhos)
    sums = filter_.mean_sums(rhos)
    for k, rho in enumerate(rhos):
        S = np.linalg.inv(np.eye(60) - rho * W)
        G = W @ S
        assert filter_.log_determinant(rho) == pytest.approx(-np.linalg.slogdet(S)[1], abs=1e-10)
        traces = filter_.traces(rho)
        assert traces.g == pytest.approx(np.trace(G), abs=1e-9)
        assert traces.gg == pytest.approx(np.trace(G @ G), rel=1e-10)
        assert traces.gtg == pytest.approx(np.trace(G.T @ G), rel=1e-10)
        assert traces.row_sums == pytest.approx(G.sum(axis=1), abs=1e-10)
        assert traces.column_sums == pytest.approx(G.sum(axis=0), abs=1e-10)
        assert (shares[0][k], shares[1][k]) == pytest.approx((np.trace(S) / 60, np.trace(G) / 60), abs=1e-6)
        assert (sums[0][k], sums[1][k]) == pytest.approx((S.sum() / 60, G.sum() / 60), rel=1e-8)


@settings(max_examples=30, deadline=None)
@example(seed=1507, symmetric=False, standard=True)  # zero is an eigenvalue twice over, and comes out as -3e-9
@given(seed=st.integers(0, 5000), symmetric=st.booleans(), standard=st.booleans())
def test_the_filter_is_regular_inside_its_bounds_and_singular_at_their_ends(seed, symmetric, standard):
    W = random_w(seed, 12, symmetric=symmetric, standard=standard)
    filter_ = SpatialFilter(sparse.csr_array(W))
    low, high = filter_.bounds
    eigenvalues = np.linalg.eigvals(W)
    real = eigenvalues.real[np.abs(eigenvalues.imag) < 1e-9]
    # No real eigenvalue has its reciprocal inside.
    inside = [1 / e for e in real if abs(e) > 1e-7 and low * (1 - 1e-6) < 1 / e < high * (1 - 1e-6)]
    assert not inside
    assert min(abs(1 - high * e) for e in eigenvalues) < 1e-6
    for rho in np.linspace(low, high, 9)[1:-1]:
        sign, value = np.linalg.slogdet(np.eye(12) - rho * W)
        assert sign > 0
        assert filter_.log_determinant(rho) == pytest.approx(value, abs=1e-7)


def test_a_row_standardised_symmetric_matrix_is_known_as_such():
    """Its eigenvalues are real although it is not symmetric, also in several components with islands."""
    block = random_w(3, 15, symmetric=True)
    W = np.zeros((40, 40))
    W[:15, :15], W[20:35, 20:35] = block, 3 * block.T
    standard = np.divide(
        W, W.sum(axis=1, keepdims=True), out=np.zeros_like(W), where=W.sum(axis=1, keepdims=True) > 0
    )
    filter_ = SpatialFilter(sparse.csr_array(standard))
    assert filter_._eigenvalues.dtype == np.float64
    assert np.sort(filter_._eigenvalues) == pytest.approx(np.sort(np.linalg.eigvals(standard).real), abs=1e-7)
    asymmetric = standard.copy()
    asymmetric[0, asymmetric[0] > 0] *= 2
    assert SpatialFilter(sparse.csr_array(asymmetric))._eigenvalues is not None


def test_columns_scaled_before_standardising_keep_a_symmetric_twin():
    """The nested economic weights are of this kind."""
    rng = np.random.default_rng(4)
    W = random_w(4, 20, symmetric=True) * rng.uniform(0.5, 5, 20)
    W /= W.sum(axis=1, keepdims=True)
    filter_ = SpatialFilter(sparse.csr_array(W))
    assert filter_._eigenvalues.dtype == np.float64
    assert np.sort(filter_._eigenvalues) == pytest.approx(np.sort(np.linalg.eigvals(W).real), abs=1e-9)


def test_weights_that_run_one_way_have_no_end_of_their_own():
    """A strictly triangular matrix has no eigenvalue but zero: the determinant is one at every rho."""
    filter_ = SpatialFilter(sparse.csr_array(np.eye(6, k=1)))
    assert filter_.bounds == (-1.0, 1.0)
    assert filter_.log_determinant(0.9) == pytest.approx(0.0, abs=1e-12)


def test_traces_at_zero_are_those_of_w():
    W = sparse.csr_array(random_w(5))
    ours, full = traces_at_zero(W), SpatialFilter(W).traces(0.0)
    assert (ours.g, ours.gg, ours.gtg) == pytest.approx((full.g, full.gg, full.gtg), abs=1e-12)
    assert ours.row_sums == pytest.approx(full.row_sums)
    assert ours.column_sums == pytest.approx(full.column_sums)


def test_no_links():
    with pytest.raises(WeightsError, match="no links"):
        SpatialFilter(sparse.csr_array((5, 5)))
