"""Spatial evidence: Moran's I, spatial panel models by maximum likelihood, direct and indirect effects."""
