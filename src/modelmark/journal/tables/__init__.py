"""The log as Delta tables: their columns, the pass that fills them, its receipts, and what is asked of them."""
