"""The order of the gallery: from the first question to what one adds oneself."""

_ORDER = (
    "sinusoids",
    "autoencoder",
    "four_methods",
    "spectra",
    "coffee",
    "fermentation",
    "pulse",
    "climate",
    "digits",
    "embedding",
    "photo_patches",
    "gaps",
    "spikes",
    "irregular",
    "memmap",
    "search",
    "error_bars",
    "variants",
    "smooth_spectra",
    "own_parts",
)


class Order:
    """The key of a script: its place in the list; scripts that are not listed come last, by name."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, filename):
        """Return what the scripts of a folder are sorted by."""
        name = filename.removesuffix(".py")
        return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)

    def __repr__(self):
        """Return the same text for every build, so that nothing is built again for it."""
        return "<Order>"
