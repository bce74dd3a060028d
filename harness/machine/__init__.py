"""What is read from outside the program: the host, the GPU, git, memory in use."""
