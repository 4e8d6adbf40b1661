"""The parts of bench.py: networks, processes, tunnels and the measurements themselves."""
