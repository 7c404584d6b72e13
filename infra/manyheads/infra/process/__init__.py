"""Child processes that never outlive the one that started them: the embedded broker, the workers of a local stack."""

from manyheads.infra.process.child import ChildProcess, Command

__all__ = ["ChildProcess", "Command"]
