"""`repro.Record()`: recording from inside a script."""

import keras

from repro_keras._src.runs import launch


class Record(keras.callbacks.Callback):
    """Records the script from here to its end, as `repro-keras run` does from outside.

    The record lies in `.repro/runs` in the project's folder; `repro-keras verify` runs the script
    again and compares. Make it before the first `fit`, and give it to each `fit`: what happened
    before it was made is not on the record. Under `repro-keras run` it does nothing more.

    Raises:
        RunError: where there is no script, e.g. in an interactive session.

    Example:

    ```python
    model.fit(x, y, callbacks=[repro.Record()])
    ```
    """

    async_safe = True

    def __init__(self):
        super().__init__()
        launch.begin_here()

    def set_model(self, model):
        super().set_model(model)
        model.train_function = None  # one that was made before does not write the trail
