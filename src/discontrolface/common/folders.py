"""Where this program keeps what belongs to the user."""

from pathlib import Path


def default_folder() -> Path:
    """Where imported assets are kept unless another folder is named: the user's data folder of this program."""
    from platformdirs import user_data_dir

    return Path(user_data_dir("discontrolface")) / "paper"


def latent_folder() -> Path:
    """Where the latent preset is kept, which is made and does not come with the package: the user's data folder of this program."""
    from platformdirs import user_data_dir

    return Path(user_data_dir("discontrolface")) / "latent"
