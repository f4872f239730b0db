"""The parts of a synthetic portrait: one file per thing that is drawn. `training/synthetic.py` puts them together."""
