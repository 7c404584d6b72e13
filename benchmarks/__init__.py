"""Every number of the README, each with one command: ``python -m benchmarks <id>``.

The last line of each is ``<ID> PASS|SHORT <figure> (goal <goal>) on <processor>, <cores> cores``.
"""
