"""What a draft proposes beside what the model says: who might be treated unfairly, what orders and groups the rows, tests."""
