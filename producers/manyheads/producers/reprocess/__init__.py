"""Logs in bulk: every row of files or of a topic through its tenant's head, each exactly once in the output.

Kafka is a job's only memory. A job has a topic of its own (``nlu.jobs.<job>.log``): its first record is the plan, and
each bucket of rows that is done is a record there, written in one Kafka transaction that no two processes can both
commit. Any number of processes may work on a job, and any of them may die at any moment.

- ``sources``, ``reading``, ``json_rows``, ``topic_rows``: inputs to record batches; ``kinds``: types of JSON columns
- ``columns``: what an input row has, and what an output row has
- ``options``, ``plan``: what was asked for, and what the processes of a job agreed on
- ``preparation``: all that comes before the first request
- ``spill``, ``scratch``: rows to local files, so that equal texts are in one bucket
- ``work``: what a bucket asks, and which of its rows get which answer; pure
- ``asking``: requests out, with patience
- ``rows``, ``outputs``, ``whole_files``: answered rows to files or to a topic
- ``job_log``, ``completion``, ``membership``: the job's topic; one transaction a bucket; who does which buckets
- ``job``: all of it together; ``progress``, ``estimate``: what to tell of it
"""
