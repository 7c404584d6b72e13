"""The pages: views on NiceGUI elements. What they say is decided in :mod:`manyheads.infra.dashboard.views`."""
