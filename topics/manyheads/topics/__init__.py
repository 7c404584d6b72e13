"""The contract of the pipeline: messages, topic names, headers, errors, limits and metric names.

Pure: no I/O, no clock, no Kafka client. Everyone may import it; it imports no one.
"""
