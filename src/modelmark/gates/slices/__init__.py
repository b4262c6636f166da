"""Parts of the rows on which the model is worse."""
