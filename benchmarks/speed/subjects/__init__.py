"""One module for each implementation. Each is a program that does a round of one kind of work whenever it is told."""
