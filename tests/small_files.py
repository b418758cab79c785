"""Small files of torch.save that would take much memory."""

import zipfile


class Asks:
    """Pickles as a call that allocates memory when it is loaded."""

    def __init__(self, kind, *arguments):
        self.made = kind, arguments

    def __reduce__(self):
        return self.made


def compressed(path):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
