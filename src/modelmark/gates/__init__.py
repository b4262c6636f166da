"""Before release: each gate measures one thing about a candidate; `runner.run_gates` turns that into Evidence.

Which gates there are, and where the code of each is, stands in `domain.catalogue.gates`.
"""
