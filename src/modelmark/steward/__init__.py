"""The control loop: compact, watch, alert; small steps, each with a checkpoint."""
