"""What bodies of writes have in common: nothing unknown is taken, reasons are given."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, StringConstraints

from worker.web.api.texts import Text

Name = Annotated[Text, StringConstraints(min_length=1, max_length=100)]


class Asking(BaseModel):
    """A body; a member that is not known is refused."""

    model_config = {"extra": "forbid"}
