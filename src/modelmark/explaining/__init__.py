"""Why a version answers as it does: Shapley values, LIME's weights, what a transparent model says of itself."""
