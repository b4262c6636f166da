"""What rollouts need of a worker: shadows are asked a copy of what was answered, and outcomes are counted by arm."""
