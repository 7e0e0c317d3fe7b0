"""From rasters, boundaries and land parcels to a city-year panel and on to spatial evidence.

The public names stand in ``__init__.pyi``; each is imported when it is first used, so that ``import gistools`` is
quick.
"""

import lazy_loader

from gistools.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
