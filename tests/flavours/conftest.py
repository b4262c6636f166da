"""Keras computes with PyTorch here, as in the sandbox."""

import os

os.environ["KERAS_BACKEND"] = "torch"
