"""Rasters to numbers: products, alignment, label grids and the one-pass zonal engine. Takes sources, never paths."""
