"""A run that is being trained, watched: every checkpoint is diagnosed as it appears, and a failure raises the alarm.

poll -> what is complete (`sightings`) -> which one to take (`states`) -> diagnose, judge -> whether to fire (`states`)
-> one line in the log (`logbook`) -> command, webhook (`acting`)
"""

from entropydx.watching.logbook import read_log
from entropydx.watching.loop import Job, Until, watch
from entropydx.watching.rules import WatchRules, watch_rules

__all__ = ["Job", "Until", "WatchRules", "read_log", "watch", "watch_rules"]
