"""Experiments: sample ratios, ratios of means, adjustment by what was known before, and how many units would tell."""
