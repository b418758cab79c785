"""The commands: compose a config, build what it names, run a job. Only this room knows Hydra.

Scripts import it before anything else that isn't torch or Python's own: without the extra a command
says in one line what to install.
"""

import sys
from importlib.util import find_spec

# What the package imports without asking, beside torch; the rest is asked for where it is needed.
NEEDED = (
    "hydra joblib matplotlib numpy omegaconf pandas scipy soundfile torchaudio tqdm yaml".split()
)

_missing = [name for name in NEEDED if find_spec(name) is None]
if _missing:  # the clippers need torch alone, and a command needs the extra
    print(
        f"this command needs the extra [separation], of which {', '.join(_missing)} can't be "
        "found: pip install 'autoclip_sep[separation]', or make install in a checkout",
        file=sys.stderr,
    )
    sys.exit(2)
