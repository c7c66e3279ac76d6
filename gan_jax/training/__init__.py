"""Training: the loop, one run or many in one program, and how the update is compiled."""
