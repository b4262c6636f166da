"""The data plane: edge, runtime, routing and batching."""
