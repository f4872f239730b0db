"""Other people's methods, each a plug-in: network, importer, its way to edit, its options."""

from discontrolface.baselines import rig_method as rig_method
