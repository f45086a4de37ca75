"""Runs the notebooks in `notebooks/`, each in a fresh kernel, and stores their outputs.

python tools/run_notebooks.py [NAME…]

A cell with the tag `depends-on-cpu` may put out something else on another CPU; the tests compare
what the others put out with what is stored.
"""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def main() -> None:
    os.environ.update(PYTHONHASHSEED="0", TF_CPP_MIN_LOG_LEVEL="3")
    for path in map(Path, sys.argv[1:]) if sys.argv[1:] else sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(notebook, resources={"metadata": {"path": str(path.parent)}})
        client.execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times
            if cell.cell_type == "code":  # without what TensorFlow says of the machine
                cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
        nbformat.write(notebook, path)
        print(path)


if __name__ == "__main__":
    main()
