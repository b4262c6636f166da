"""The control loop: jobs that compact, profile, monitor and tell, each killed and begun again without harm."""
