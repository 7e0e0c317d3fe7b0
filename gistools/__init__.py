"""From rasters, boundaries and land parcels to a city-year panel and on to spatial evidence."""
