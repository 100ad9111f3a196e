"""Questions of one's own: boxes to change in JupyterLab, one line of text everywhere else."""

import os
from dataclasses import replace

from IPython.display import Markdown, display

from iapt import parameters
from iapt.answers import prospects
from iapt.data import periods


def explore(question: prospects.Question) -> object:
    """Boxes for the target, its year and the first year looked at, with the answer and the fan below them.

    Only a kernel that JupyterLab started shows them; papermill, tests and pages get a sentence instead.
    """
    if "JPY_SESSION_NAME" not in os.environ:
        return Markdown("*In JupyterLab, boxes to change the target, its year and the years looked at appear here.*")
    import ipywidgets

    first = question.by_year.index[-1] + 1
    years = [periods.write(first + step) for step in range(parameters.LONGEST)]
    starts = [periods.write(year) for year in question.by_year.index[:-2]]
    return ipywidgets.interactive(
        lambda target, target_year, start: _answer(
            replace(question, target=target, target_year=target_year, start=start)
        ),
        {"manual": True, "manual_name": "Ask"},
        target=ipywidgets.IntText(question.target, description="target"),
        target_year=ipywidgets.Dropdown(options=years, value=question.target_year, description="year"),
        start=ipywidgets.Dropdown(options=starts, value=question.start, description="look from"),
    )


def _answer(question: prospects.Question) -> None:
    try:
        parameters.check_question(question)
    except parameters.ParameterError as error:
        display(Markdown(f"**{error}**"))
        return
    display(prospects.answer(question), prospects.plot_fan(question))
