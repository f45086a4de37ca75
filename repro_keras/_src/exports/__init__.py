"""An export: one zip file with all that a reader needs to run a record again.

`making` puts it together, `reading` checks and unpacks it; `layout` says what is where in it,
`archive` is the file itself, `lock` the versions, `sign` the signature, and `crate` the description
as an RO-Crate.
"""
