"""A preflight of all that is applied to a cluster: every file is checked offline, without an account or a cluster.

A finding names file and key. What a machine cannot check, for want of a tool or a schema, is said as skipped.
"""
