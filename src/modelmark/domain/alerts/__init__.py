"""What an alert stands for and asks of people, and whether anybody is there to raise one, and anything to raise it by."""
