"""The stage loop: consume -> compute -> publish -> commit, once, for both workers and both lanes.

The rules, without I/O and without a clock:

- ``work``: what a stage's compute sees, jobs in and outcomes out. Implement ``Stage`` to make a worker.
- ``admission``: which records are jobs. ``compute``: one outcome for each, whatever the stage does.
- ``core``: what to publish for each record and what may be committed; with ``tickets`` (one record's way through),
  ``offsets`` (the contiguous finished prefix), ``verdicts`` (results that cannot be written), ``publications``
  (the records that are written) and ``halting`` (when to stop rather than drain the topic).

The loop around them:

- ``lane``: one input topic, driven a turn at a time; ``interactive`` and ``batch`` are the two ways to commit.
- ``worker``: a stage and its lanes, interactive first; ``options``: what it is told.
"""
