"""The release state machine, marks, approvals and the audit chain."""
