"""Urban form of cities: masks, sprawl index, CBD and structure measures, from what one scan of the grids keeps."""
