"""What tests with several programs have in common: cases, processes, files and certificates."""
