"""Options of `doit up` that stand for settings."""

GUESS = "guess"
"""Value of build.output that looks below the tree's _output, like upstream's -O."""
UP = (
    {
        "name": "output",
        "short": "o",
        "long": "output",
        "type": str,
        "default": "",
        "help": "use the binaries of this folder instead of building (build.output)",
    },
    {
        "name": "guess",
        "short": "O",
        "long": "guess",
        "type": bool,
        "default": False,
        "help": "use the newest binaries below the tree's _output instead of building",
    },
    {
        "name": "bundle",
        "long": "bundle",
        "type": str,
        "default": "",
        "help": "take tools and source from this file of `doit bundle` (origin.bundle)",
    },
)
"""As doit wants them."""
