"""Spatial weights between cities: built, checked, put in the order of a panel, looked at as a matrix.

Weights are a :class:`libpysal.graph.Graph` keyed by ``city_code`` as text: ``w[i, j]`` is the weight of city
`j` in the spatial lag of city `i`. Distances are geodesic (WGS 84) between city points, whatever the CRS of the
polygons. A city without neighbours (an island) is never passed over: it is named, and refused, kept as a row of
zeros, or joined to the nearest city, as asked.
"""

from gistools.weights.build import (
    ISLANDS,
    KINDS,
    Islands,
    Kind,
    build_weights,
    contiguity_weights,
    economic_nested_weights,
    inverse_distance_weights,
    knn_weights,
    require_weights_options,
)
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
from gistools.weights.points import city_points
from gistools.weights.summary import WeightsSummary, summarise_weights

__all__ = [
    "ISLANDS",
    "KINDS",
    "Islands",
    "Kind",
    "WeightsSummary",
    "adjacency_table",
    "align_weights",
    "as_codes",
    "as_graph",
    "build_weights",
    "city_points",
    "contiguity_weights",
    "economic_nested_weights",
    "from_adjacency_table",
    "graph_from_matrix",
    "inverse_distance_weights",
    "is_row_standardised",
    "knn_weights",
    "require_weights_options",
    "row_standardise",
    "summarise_weights",
    "weights_matrix",
]
