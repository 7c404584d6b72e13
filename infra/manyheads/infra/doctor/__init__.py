"""What ``manyheads doctor`` finds out: is everything there that the pipeline needs, and if not, what is to be done?

Each area has a module with its judges, which are pure: ``environment``, ``servers``, ``cluster``, ``topics``,
``registry``, ``store``, ``workers``, ``clocks``, ``machine``. ``asking`` asks Kafka for what they judge, and
``examination`` makes all checks in order.
"""

from manyheads.infra.doctor.examination import examine
from manyheads.infra.doctor.findings import Finding, Status, worst
from manyheads.infra.doctor.options import DoctorOptions

__all__ = ["DoctorOptions", "Finding", "Status", "examine", "worst"]
