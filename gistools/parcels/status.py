"""The word every parcel record carries through the chain: kept, located, or why it was set aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEPT = "kept"  # passed the rules of cleaning
LOCATED = "located"  # has coordinates that were accepted


def passing(parcels: pd.DataFrame) -> NDArray:
    """Tell which records no step has set aside so far.

    Parameters
    ----------
    parcels : DataFrame
        With ``status``, or without: then no step has judged them, and all pass.

    Returns
    -------
    array of bool, one a record

    Examples
    --------
    >>> passing(pd.DataFrame({"status": ["kept", "duplicate", "located"]})).tolist()
    [True, False, True]
    """
    if "status" not in parcels:
        return pd.Series(True, index=parcels.index).to_numpy(bool)
    return parcels["status"].isin((KEPT, LOCATED)).to_numpy(bool)
