"""What an answer is: its ids, by what it was given, how it may be explained."""
