"""What is done with answers: a whole table of them, why one was given, whether it is given again, which rows are meant."""
