"""The spatial filter against dense linear algebra, by each of its ways; which way is chosen; what is approximate."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse

from gistools.errors import GistoolsError, InputError, WeightsError
from gistools.spatial.operator import SpatialFilter, filter_of, spatial_lags, traces_at_zero, widest_front
from gistools.spatial.spectrum import symmetric_twin


def random_w(seed, n=30, *, symmetric=False, standard=False):
    rng = np.random.default_rng(seed)
    W = rng.uniform(size=(n, n)) * (rng.uniform(size=(n, n)) < 0.15)
    W = (W + W.T) / 2 if symmetric else W
    np.fill_diagonal(W, 0)
    W[0, 1] = W[1, 0] = 1.0
    return standardised(W) if standard else W


def standardised(W):
    total = W.sum(axis=1, keepdims=True)
    return np.divide(W, total, out=np.zeros_like(W), where=total > 0)


def lattice(rows, columns):
    """Rook neighbours on a chessboard, row-standardised."""
    a, b = (sparse.diags_array([np.ones(m - 1)] * 2, offsets=[-1, 1]) for m in (rows, columns))
    links = sparse.kron(a, sparse.eye_array(columns)) + sparse.kron(sparse.eye_array(rows), b)
    return sparse.csr_array(sparse.diags_array(1 / links.sum(axis=1)) @ links)


def lattice_eigenvalues(rows, columns):
    """Of binary rook weights: sums of those of two paths (Ord 1975)."""
    a, b = (2 * np.cos(np.pi * np.arange(1, m + 1) / (m + 1)) for m in (rows, columns))
    return np.add.outer(a, b).ravel()


def dense_truth(W, rho):
    S = np.linalg.inv(np.eye(len(W)) - rho * W)
    return S, W @ S


@pytest.mark.parametrize("way", ["eigenvalues", "lu"])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("standard", [True, False])
def test_exact_ways(way, symmetric, standard):
    W = random_w(1, 60, symmetric=symmetric, standard=standard)
    filter_ = SpatialFilter(sparse.csr_array(W), way)
    assert filter_.exact
    assert filter_.approximation(0.1, copies=1, std_error=0.1) is None
    rhos = filter_.bounds[1] * np.array([-0.5, -0.1, 0.3, 0.8])
    shares, sums = filter_.mean_diagonals(rhos), filter_.mean_sums(rhos)
    columns = np.random.default_rng(0).normal(size=(60, 3))
    for k, rho in enumerate(rhos):
        S, G = dense_truth(W, rho)
        assert filter_.log_determinant(rho) == pytest.approx(-np.linalg.slogdet(S)[1], abs=1e-10)
        traces = filter_.traces(rho)
        assert traces.g == pytest.approx(np.trace(G), abs=1e-9)
        assert traces.gg == pytest.approx(np.trace(G @ G), rel=1e-8)
        assert traces.gtg == pytest.approx(np.trace(G.T @ G), rel=1e-8)
        assert traces.row_sums == pytest.approx(G.sum(axis=1), abs=1e-10)
        assert traces.column_sums == pytest.approx(G.sum(axis=0), abs=1e-10)
        assert (traces.g_error, traces.gtg_error) == (0, 0)
        assert (shares[0][k], shares[1][k]) == pytest.approx((np.trace(S) / 60, np.trace(G) / 60), abs=1e-8)
        assert (sums[0][k], sums[1][k]) == pytest.approx((S.sum() / 60, G.sum() / 60), rel=1e-8)
        solve = filter_.solver(rho)
        assert solve(columns) == pytest.approx(S @ columns, abs=1e-10)
        assert solve(columns, transpose=True) == pytest.approx(S.T @ columns, abs=1e-10)
        assert solve(columns[:, 0], transpose=True) == pytest.approx(S.T @ columns[:, 0], abs=1e-10)
        check_blocks(filter_, rho, G)


def check_blocks(filter_, rho, G):
    found = np.empty_like(G)
    for block, ahead, back in filter_.blocks(rho):
        found[:, block] = ahead
        assert back == pytest.approx(G[block].T, abs=1e-10)
    assert found == pytest.approx(G, abs=1e-10)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("standard", [True, False])
def test_series_are_within_their_stated_errors(symmetric, standard):
    """Four standard errors and the bound on what is left out; solutions are exact."""
    W = random_w(3, 200, symmetric=symmetric, standard=standard)
    filter_ = SpatialFilter(sparse.csr_array(W), "series")
    assert filter_.method == ("Chebyshev series" if symmetric else "power series")
    assert not filter_.exact
    columns = np.random.default_rng(0).normal(size=(200, 2))
    for rho in filter_.bounds[1] * np.array([-0.6, 0.3, 0.9]):
        S, G = dense_truth(W, rho)
        error, bound = filter_._way.errors(rho)
        assert abs(filter_.log_determinant(rho) + np.linalg.slogdet(S)[1]) < 4 * error + bound
        traces = filter_.traces(rho)
        assert abs(traces.g - np.trace(G)) < 4 * traces.g_error + 1e-9
        assert abs(traces.gg - np.trace(G @ G)) < 4 * traces.gg_error + 1e-9
        assert abs(traces.gtg - np.sum(G * G)) < 4 * traces.gtg_error + 1e-9
        assert 0 < traces.gtg_error < 0.05 * traces.gtg
        assert traces.column_sums == pytest.approx(G.sum(axis=0), rel=1e-9, abs=1e-10)
        solve = filter_.solver(rho)
        assert solve(columns) == pytest.approx(S @ columns, abs=1e-9)
        assert solve(columns, transpose=True) == pytest.approx(S.T @ columns, abs=1e-9)
        step = 1e-5 * filter_.bounds[1]
        slope = (filter_.log_determinant(rho + step) - filter_.log_determinant(rho - step)) / (2 * step)
        assert traces.g == pytest.approx(-slope, rel=1e-5)
        around = [filter_.mean_diagonals(np.array([rho + s]))[1][0] * 200 for s in (step, -step)]
        assert traces.gg == pytest.approx((around[0] - around[1]) / (2 * step), rel=1e-5)
    check_blocks(filter_, 0.3 * filter_.bounds[1], dense_truth(W, 0.3 * filter_.bounds[1])[1])


@pytest.mark.parametrize("symmetric", [True, False])
def test_series_have_the_first_four_traces_exactly(symmetric):
    """Near rho = 0 they are all there is: the log-determinant is right to the order of rho^5."""
    W = random_w(3, 120, symmetric=symmetric, standard=True)
    filter_ = SpatialFilter(sparse.csr_array(W), "series")
    for rho in (0.01, 0.02):
        assert filter_.log_determinant(rho) == pytest.approx(np.linalg.slogdet(np.eye(120) - rho * W)[1], abs=rho**5)


def test_equal_weights_share_a_filter():
    W = lattice(6, 5)
    kept = filter_of(W)
    assert filter_of(W.copy()) is kept
    assert filter_of(W, "lu") is not kept
    changed = W.copy()
    changed.data[0] += 0.1
    assert filter_of(changed) is not kept
    W.data[:] = 7.0  # the filter keeps its own
    assert filter_of(lattice(6, 5)) is kept


@pytest.mark.parametrize("share", [0.05, 0.9])
def test_lags_of_dense_and_sparse_weights(share):
    W = sparse.random_array((40, 40), density=share, rng=np.random.default_rng(0), format="csr")
    values = np.random.default_rng(1).normal(size=(40, 3))
    assert spatial_lags(W, values) == pytest.approx(W.toarray() @ values, abs=1e-14)


def test_standard_errors_of_series_are_their_spread_over_seeds():
    from gistools.spatial.series import Series

    W = sparse.csr_array(random_w(3, 200, standard=True))
    runs = [Series(W, None, True, probes=16, seed=seed) for seed in range(40)]
    values = np.array([(run.log_determinant(0.8), run.traces(0.8).gtg) for run in runs])
    stated = np.array([(run.errors(0.8)[0], run.traces(0.8).gtg_error) for run in runs])
    S, G = dense_truth(W.toarray(), 0.8)
    truth = -np.linalg.slogdet(S)[1], np.sum(G * G)
    assert values.std(axis=0, ddof=1) == pytest.approx(np.sqrt((stated**2).mean(axis=0)), rel=0.3)
    assert (np.abs(values.mean(axis=0) - truth) < 4 * values.std(axis=0) / np.sqrt(60)).all()


def test_what_series_leave_out_is_below_the_bound():
    """Of two cities all even traces are exact, whatever the signs."""
    from gistools.spatial.series import Series

    W = sparse.csr_array([[0.0, 2.0], [2.0, 0.0]])
    for rho in (0.1, 0.45, 0.49):
        way = Series(W, symmetric_twin(W), False, probes=512)
        error, bound = way.errors(rho)
        gap = abs(way.log_determinant(rho) - np.log(1 - (2 * rho) ** 2))
        assert gap <= 4 * error + bound + 1e-12
        assert way.errors(0.499)[1] > bound


@pytest.mark.parametrize("way", ["lu", "series"])
def test_determinant_of_a_lattice_in_closed_form(way):
    """Binary rook weights on a board of 60 x 50 have eigenvalues known in closed form."""
    W = lattice(60, 50)
    binary = sparse.csr_array((np.ones(W.nnz), W.indices, W.indptr), shape=W.shape)
    filter_ = SpatialFilter(binary, way)
    eigenvalues = lattice_eigenvalues(60, 50)
    assert filter_.bounds[1] == pytest.approx(1 / eigenvalues.max(), rel=1e-9)
    assert -1 / eigenvalues.max() * (1 + 1e-9) <= filter_.bounds[0] < -0.99 / eigenvalues.max()
    for share in (-0.9, 0.4, 0.95):
        rho = share * filter_.bounds[1]
        ratios = eigenvalues / (1 - rho * eigenvalues)
        truth = np.log(1 - rho * eigenvalues).sum()
        traces = filter_.traces(rho)
        error, bound = (0, 1e-9) if way == "lu" else filter_._way.errors(rho)
        assert abs(filter_.log_determinant(rho) - truth) <= 4 * error + bound
        assert abs(traces.g - ratios.sum()) <= 4 * traces.g_error + 1e-7
        assert abs(traces.gg - (ratios**2).sum()) <= 4 * traces.gg_error + 1e-6 * (ratios**2).sum()
        assert abs(traces.gtg - (ratios**2).sum()) <= 4 * traces.gtg_error + 1e-8 * (ratios**2).sum()


def test_ways_agree_on_a_fit():
    """The likelihood's maximum, its information and effects do not depend on how the determinant is found."""
    from gistools.spatial.models import fit_spatial
    from gistools.weights import graph_from_matrix

    rng = np.random.default_rng(0)
    W = lattice(20, 16)
    n, years = W.shape[0], 4
    x = rng.normal(size=(n, years))
    y = sparse.linalg.spsolve(sparse.csc_array(sparse.eye_array(n) - 0.5 * W), x + rng.normal(size=(n, years)))
    panel = pd.DataFrame({"city_code": np.repeat(np.arange(n), years), "year": np.tile(np.arange(years), n)})
    panel = panel.assign(y=y.ravel(), x=x.ravel())
    fits = {}
    for way in ("eigenvalues", "lu", "series"):
        fits[way] = fit_spatial(panel, graph_from_matrix(W, range(n)), outcome="y", x=["x"], determinant=way)
    truth = fits["eigenvalues"]
    assert fits["lu"].estimates == pytest.approx(truth.estimates, abs=1e-7)
    assert fits["lu"].covariance == pytest.approx(truth.covariance, rel=1e-6)
    columns = ["estimate", "std_error", "std_error_sim"]
    effects = [fit.effects_decomposition[columns].to_numpy() for fit in fits.values()]
    assert effects[1] == pytest.approx(effects[0], rel=1e-6)
    assert [fit.options["determinant"] for fit in fits.values()] == ["eigenvalues", "sparse LU", "Chebyshev series"]
    assert "is approximate" in fits["series"].warnings[0]
    assert not truth.warnings
    assert fits["series"].rho == pytest.approx(truth.rho, abs=0.2 * truth.covariance[-1, -1] ** 0.5)
    assert np.sqrt(np.diag(fits["series"].covariance)) == pytest.approx(np.sqrt(np.diag(truth.covariance)), rel=0.02)


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


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 5000), way=st.sampled_from(["eigenvalues", "lu", "series"]), scale=st.floats(0.1, 10))
def test_scaling_and_permuting_weights(seed, way, scale):
    """rho W stays the same if W is scaled and rho divided; the order of cities is of no account."""
    W = random_w(seed, 25)
    order = np.random.default_rng(seed).permutation(25)
    one, scaled = (SpatialFilter(sparse.csr_array(matrix), way) for matrix in (W, scale * W))
    rho = 0.4 * one.bounds[1]
    assert scaled.bounds == pytest.approx([end / scale for end in one.bounds], rel=1e-6)
    assert scaled.log_determinant(rho / scale) == pytest.approx(one.log_determinant(rho), abs=1e-8)
    assert scaled.traces(rho / scale).gtg == pytest.approx(scale**2 * one.traces(rho).gtg, rel=1e-6)
    if way != "series":  # whose signs belong to places
        moved = SpatialFilter(sparse.csr_array(W[np.ix_(order, order)]), way)
        assert moved.log_determinant(rho) == pytest.approx(one.log_determinant(rho), abs=1e-10)
        assert moved.traces(rho).column_sums == pytest.approx(one.traces(rho).column_sums[order])


def test_a_row_standardised_symmetric_matrix_has_a_twin():
    """Its eigenvalues are real although it is not symmetric, also in several components with islands."""
    block = random_w(3, 15, symmetric=True)
    W = np.zeros((40, 40))
    W[:15, :15], W[20:35, 20:35] = block, 3 * block.T
    standard = standardised(W)
    twin = symmetric_twin(sparse.csr_array(standard))
    dense = twin.matrix.toarray()
    assert dense == pytest.approx(dense.T, abs=0)
    assert dense * twin.root / twin.root[:, None] == pytest.approx(standard, abs=1e-14)
    assert np.linalg.eigvalsh(dense) == pytest.approx(np.sort(np.linalg.eigvals(standard).real), abs=1e-7)
    asymmetric = standard.copy()
    asymmetric[0, asymmetric[0] > 0] *= np.arange(1, (asymmetric[0] > 0).sum() + 1)
    assert symmetric_twin(sparse.csr_array(asymmetric)) is None


def test_columns_scaled_before_standardising_keep_a_symmetric_twin():
    """The nested economic weights are of this kind."""
    rng = np.random.default_rng(4)
    W = random_w(4, 20, symmetric=True) * rng.uniform(0.5, 5, 20)
    W /= W.sum(axis=1, keepdims=True)
    twin = symmetric_twin(sparse.csr_array(W))
    assert np.linalg.eigvalsh(twin.matrix.toarray()) == pytest.approx(np.sort(np.linalg.eigvals(W).real), abs=1e-9)


def test_a_long_chain_has_a_twin():
    """The scale is carried along three hundred links, each of which doubles it."""
    ahead, behind = np.full(299, 2.0), np.ones(299)
    W = sparse.csr_array(sparse.diags_array([ahead, behind], offsets=[1, -1]))
    twin = symmetric_twin(W)
    assert twin.matrix.toarray() == pytest.approx(np.sqrt(2) * (W.toarray() > 0), rel=1e-12)


def test_weights_that_run_one_way_have_no_end_of_their_own():
    """A strictly triangular matrix has no eigenvalue but zero: the determinant is one at every rho."""
    filter_ = SpatialFilter(sparse.csr_array(np.eye(6, k=1)))
    assert filter_.bounds == (-1.0, 1.0)
    assert filter_.log_determinant(0.9) == pytest.approx(0.0, abs=1e-12)


def test_a_bound_stands_in_for_an_eigenvalue_that_is_not_found():
    """Three links ahead and one back: far from normal. The bound is above the eigenvalue, below row sums."""
    W = sparse.csr_array(np.triu(np.tril(np.ones((401, 401)), 3), 1)) + lattice(401, 1)
    found = SpatialFilter(W, "lu").bounds
    banded = np.polynomial.Polynomial([0.5, 0, 1.5, 1, 1])  # symbol 1/2z + 3/2 z + z^2 + z^3, least over positive z
    z = np.linspace(0.1, 1, 10_001)
    largest = (banded(z) / z).min()  # of an endless band; the ends of a finite one take a little off
    assert 1 / W.sum(axis=1).max() < found[1] < 1.001 / largest
    assert np.isfinite(SpatialFilter(W, "lu").log_determinant(0.99 * found[1]))


def test_the_way_is_chosen_by_size_links_and_fill(monkeypatch):
    """Symmetric twins and small matrices by eigenvalues, sparse ones by LU, what fills up or is dense by series."""
    one_way = sparse.csr_array(np.triu(np.tril(np.ones((401, 401)), 3), 1))
    assert symmetric_twin(one_way + lattice(401, 1)) is None
    assert SpatialFilter(lattice(20, 20)).method == "eigenvalues"
    assert SpatialFilter(one_way[:200, :200] + lattice(200, 1)).method == "eigenvalues"
    assert SpatialFilter(one_way + lattice(401, 1)).method == "sparse LU"
    assert SpatialFilter(lattice(50, 40)).method == "sparse LU"
    dense = standardised(np.random.default_rng(0).uniform(size=(1600, 1600)) * (1 - np.eye(1600)))
    assert SpatialFilter(sparse.csr_array(dense)).method == "power series"
    monkeypatch.setattr("gistools.spatial.operator.WIDEST_FRONT", 39)
    assert SpatialFilter(lattice(50, 40)).method == "Chebyshev series"


def test_widest_front():
    """A lattice's front is its diagonal; a hub counts once; a random graph's front is a share of all cities."""
    assert widest_front(lattice(60, 30)) == 30
    star = sparse.csr_array(([1.0] * 999, ([0] * 999, range(1, 1000))), shape=(1000, 1000))
    assert widest_front(star) == 1
    random = sparse.random_array((2000, 2000), density=0.004, rng=np.random.default_rng(0))
    assert widest_front(sparse.csr_array(random)) > 600


def test_the_note_on_an_approximation():
    filter_ = SpatialFilter(lattice(20, 20), "series")
    note = filter_.approximation(0.5, copies=8, std_error=0.02)
    assert "Chebyshev series of order 128, 64 random vectors" in note
    moved = 8 * filter_.traces(0.5).g_error * 0.02**2
    assert f"moves rho by about {moved:.2g} ({100 * moved / 0.02:.2g} % of its standard error, itself off" in note
    bound = filter_._way.errors(0.5)[1]
    assert f"leaves out less than {bound:.2g}" in note


def test_traces_at_zero_are_those_of_w():
    W = sparse.csr_array(random_w(5))
    ours, full = traces_at_zero(W), SpatialFilter(W).traces(0.0)
    assert (ours.g, ours.gg, ours.gtg) == pytest.approx((full.g, full.gg, full.gtg), abs=1e-12)
    assert ours.row_sums == pytest.approx(full.row_sums)
    assert ours.column_sums == pytest.approx(full.column_sums)


def test_no_links_and_unknown_ways():
    with pytest.raises(WeightsError, match="no links"):
        SpatialFilter(sparse.csr_array((5, 5)))
    with pytest.raises(InputError, match="determinant"):
        SpatialFilter(lattice(3, 3), "chebyshef")


def test_a_filter_at_its_end_is_refused_by_series():
    filter_ = SpatialFilter(lattice(8, 8), "series")
    with pytest.raises(GistoolsError, match="too near the end"):
        filter_.solver(1 - 1e-12)(np.arange(64.0))
