"""The only rooms that open or write files: rasters, vectors, tables, weights, and atomic writing."""
