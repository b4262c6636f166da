"""How edits of a row move its score, against what people expect."""
