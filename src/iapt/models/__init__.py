"""Methods with a name in the literature: numbers in, numbers out. They know nothing of the figures they are used on."""

from iapt.models.forecast import FEWEST_VALUES, LEVELS, Forecast, forecast, unbroken
from iapt.models.members import MEANING, MODELS, POOL, REFERENCES, Fit
from iapt.models.nowcast import nowcast, score_nowcasts
from iapt.models.scores import CARD, Skill, rolling_origin, score, skill, summarise

__all__ = [
    "CARD", "FEWEST_VALUES", "LEVELS", "MEANING", "MODELS", "POOL", "REFERENCES", "Fit", "Forecast", "Skill",
    "forecast", "rolling_origin", "nowcast", "score", "score_nowcasts", "skill", "summarise", "unbroken",
]  # fmt: skip
