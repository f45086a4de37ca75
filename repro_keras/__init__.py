"""Keras, with results that come out the same again.

```python
import repro_keras as keras                   # was: import keras
from repro_keras.layers import Conv2D, Dense  # was: from keras.layers import Conv2D, Dense
```

Every public name of the installed Keras is here, as the same object. What is ours lives in
`repro_keras.repro`. Importing this module sets the environment's switches and loads nothing;
Keras and its backend load at the first use of one of their names, and are made reproducible as
they load, whoever imports them.
"""

from repro_keras._src import face as _face

_face.begin(__name__)


def __getattr__(name: str):
    return _face.get(name)


def __dir__():
    return _face.names()
