"""Array functions behind the models, and the result every model returns."""
