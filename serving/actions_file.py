"""The file of business actions, `actions.json` in the data folder: read again when it changes."""

import logging
from pathlib import Path

from features.errors import BadRule
from serving.decide.actions import Action, actions_of
from serving.metrics import ACTIONS

NAME = "actions.json"

logger = logging.getLogger("kindred.serving")


class ActionsFile:
    """What the file said when it could last be used; a file that can't be is refused, and what was there goes on."""

    def __init__(self, data: Path) -> None:
        self.path = data / NAME
        self.actions: tuple[Action, ...] = ()
        self._version = (0, 0)

    def read(self) -> tuple[Action, ...]:
        """The actions that hold now: none without a file."""
        try:
            found = self.path.stat()
            version = (found.st_mtime_ns, found.st_ino)
            if version == self._version:
                return self.actions
            self.actions = actions_of(self.path.read_bytes())
            logger.info("%d actions from %s", len(self.actions), NAME)
        except FileNotFoundError:
            self.actions, version = (), (0, 0)
        except BadRule as error:
            logger.error("%s is refused at %s: %s; the %d before go on", NAME, error.field, error, len(self.actions))
            ACTIONS.labels("refused").inc()
        self._version = version
        return self.actions
