"""The commands and their options, a module a group. What a command does is in the module that it imports."""
