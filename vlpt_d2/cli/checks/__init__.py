"""What ``vlpt-d2 doctor`` looks at; every check is a generator of findings."""
