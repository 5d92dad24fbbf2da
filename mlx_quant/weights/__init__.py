"""What the numbers of a packed module mean, and the arithmetic that gives them: a small sum type, written once."""
