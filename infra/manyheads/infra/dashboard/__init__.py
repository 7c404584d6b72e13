"""The dashboard: a web page that shows lag, latency, tenants, workers and dead letters, and changes nothing.

``collector`` asks Kafka, ``views`` decide what is said, ``pages`` show it, ``access`` decides who may look, ``server``
puts them together. Needs the extra ``dashboard``.
"""
