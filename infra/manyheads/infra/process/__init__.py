"""Child processes that cannot outlive the one that started them: the embedded broker, the workers of a local stack.

``guarded`` is what is used; ``guard`` is the small program behind it.
"""

from manyheads.infra.process.guarded import Guard, ending

__all__ = ["Guard", "ending"]
