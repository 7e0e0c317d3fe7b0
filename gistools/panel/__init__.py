"""The city-year panel, the hinge of the system: built from years, joined with tables, described by its codebook."""
