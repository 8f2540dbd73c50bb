"""A preflight check of every file that is applied to a cluster, offline, without an account or a cluster.

A finding names file and key. Checks that cannot run, since a tool or a schema is missing, are reported as skipped.
"""
