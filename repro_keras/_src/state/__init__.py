"""The complete state of training: what decides what it does next.

`value` is the state, `files` its file, `folder` the files of a run; `plain`, `variables`,
`generators`, `callbacks` and `facts` are its parts; `training` is the callback. The seam captures
and restores in `_src/patches/resume.py`.
"""
