"""Kafka as the stage loop sees it: a few protocols, librdkafka behind them, and an in-memory fake that behaves alike.

``transport`` has the protocols and what every implementation promises; ``confluent`` (with ``consumer``, ``publisher``,
``transactions`` and their ``config``) is Kafka through confluent-kafka; ``memory`` is the fake, for tests. One suite in
``tests/contract`` runs against both.
"""
