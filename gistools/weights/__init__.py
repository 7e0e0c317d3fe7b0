"""Spatial weights between cities: built, checked, put in the order of a panel, looked at as a matrix.

Weights are a :class:`libpysal.graph.Graph` keyed by ``city_code`` as text: ``w[i, j]`` is the weight of city
`j` in the spatial lag of city `i`. Distances are geodesic (WGS 84) between city points, whatever the CRS of the
polygons. A city without neighbours (an island) is never passed over: it is named, and refused, kept as a row of
zeros, or joined to the nearest city, as asked.
"""

from gistools.weights.build import KINDS, Kind, build_weights, require_weights_options
from gistools.weights.contiguity import contiguity_weights
from gistools.weights.distance import (
    KERNELS,
    Kernel,
    distance_band_weights,
    inverse_distance_weights,
    kernel_weights,
    knn_weights,
)
from gistools.weights.economic import economic_nested_weights
from gistools.weights.graph import (
    adjacency_table,
    align_weights,
    as_codes,
    as_graph,
    from_adjacency_table,
    graph_from_matrix,
    is_row_standardised,
    row_standardise,
    weights_matrix,
)
from gistools.weights.islands import ISLANDS, Islands
from gistools.weights.points import city_points
from gistools.weights.summary import WeightsSummary, neighbour_counts, summarise_weights
from gistools.weights.transform import (
    SYMMETRIC,
    Symmetric,
    binary_weights,
    spectral_standardise,
    symmetrise,
    transform_weights,
)

__all__ = [
    "ISLANDS",
    "KERNELS",
    "KINDS",
    "SYMMETRIC",
    "Islands",
    "Kernel",
    "Kind",
    "Symmetric",
    "WeightsSummary",
    "adjacency_table",
    "align_weights",
    "as_codes",
    "as_graph",
    "binary_weights",
    "build_weights",
    "city_points",
    "contiguity_weights",
    "distance_band_weights",
    "economic_nested_weights",
    "from_adjacency_table",
    "graph_from_matrix",
    "inverse_distance_weights",
    "is_row_standardised",
    "kernel_weights",
    "knn_weights",
    "neighbour_counts",
    "require_weights_options",
    "row_standardise",
    "spectral_standardise",
    "summarise_weights",
    "symmetrise",
    "transform_weights",
    "weights_matrix",
]
