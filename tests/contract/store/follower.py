"""A subscriber that remembers what it was told."""

from homeport.registry.store.contract import Commit, Image
from homeport.registry.store.memory_image import MemoryImage

Content = dict[str, tuple[object, int, int]]


class Follower:
    """Folds a store's commits into an image of its own, and checks on the way what the contract says of their order."""

    def __init__(self) -> None:
        self.image = MemoryImage()
        self.commits: list[Commit] = []
        self.resets = 0
        self._resetting = False

    async def reset(self, image: Image) -> None:
        self._resetting = True
        changes = [change for change in self.image.differences(image) if change is not None]
        self.image.take_in(changes, image.revision)
        self.resets += 1
        self._resetting = False

    def committed(self, commit: Commit) -> None:
        assert not self._resetting, "a commit came before the reset was over"
        before = {key: self.image.entries[key].modified for key in touched(commit) if key in self.image.entries}
        assert all(modified < commit.revision for modified in before.values()), "a key's revision did not grow"
        self.commits.append(commit)
        self.image.apply(commit)

    def content(self) -> Content:
        """Every key with its value, created and modified."""
        return {key: (entry.value, entry.created, entry.modified) for key, entry in self.image.entries.items()}


def touched(commit: Commit) -> set[str]:
    """The keys that a commit writes by name."""
    return {*commit.effect.puts, *commit.effect.deletes}
