"""The topics as they are, and bringing them to what the catalogue says."""

from manyheads.infra.admin.topics import PartitionChange, SettingChange, TopicAdmin, TopicChanges, TopicState

__all__ = ["PartitionChange", "SettingChange", "TopicAdmin", "TopicChanges", "TopicState"]
