"""papermill's engine, but for how often it writes the notebook: as a cell of code begins, not twice for every cell."""

from nbformat import NotebookNode
from papermill import execute_notebook
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines

__all__ = ["NAME", "execute_notebook"]
NAME = "iapt"


class Engine(NBClientEngine):
    """Executes as papermill does. What is on disk is always the notebook up to the cell that runs."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: NotebookExecutionManager, kernel_name: str, **options: object) -> None:
        save, begin = nb_man.save, nb_man.cell_start

        def begin_and_save(cell: NotebookNode, cell_index: int | None = None, **more: object) -> None:
            begin(cell, cell_index, **more)
            if cell.cell_type == "code":
                save()

        nb_man.save, nb_man.cell_start = lambda **_: None, begin_and_save
        super().execute_managed_notebook(nb_man, kernel_name, **options)


papermill_engines.register(NAME, Engine)
