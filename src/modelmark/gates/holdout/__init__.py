"""Quality on rows the model has never seen, against what costs less and what serves today."""
