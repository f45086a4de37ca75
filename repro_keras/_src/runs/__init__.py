"""Recording a run: from the shell's request, through the process that runs it, to its record.

`launch` starts `child` in a fresh process, which runs the script under a `recorder`; that writes a
`journal`, of which `launch` makes the record at the end. `store` is the folder of all runs,
`terminal` passes output on, `callback` is `repro.Record()`. `verify` runs a record again, and
`resuming` goes on with one.
"""
