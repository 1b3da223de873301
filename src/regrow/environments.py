"""The environments of applications: what each is told, by manifest, configuration and `set_env`."""

from __future__ import annotations

from collections.abc import Mapping

from ._pure.checks import is_text
from .application_master import ConfigChange


class Environments:
    """The environments of one node's applications, by application and key; later words count, as in OTP."""

    def __init__(self, configured: Mapping[str, Mapping[str, object]]) -> None:
        self._configured = configured  # by the node's configuration
        self._given: dict[str, Mapping[str, object]] = {}  # by the manifests of those that are loaded
        self._loaded: dict[str, dict[str, object]] = {}
        self._early: dict[str, dict[str, object]] = {}  # set before the application was loaded
        self._persistent: dict[str, dict[str, object]] = {}

    def load(self, name: str, given: Mapping[str, object]) -> None:
        """Set up the environment of an application whose manifest gives these values."""
        self._given[name] = given
        self._loaded[name] = {**self._early.pop(name, {}), **self._fresh(name)}

    def configure(self, configured: Mapping[str, Mapping[str, object]]) -> dict[str, ConfigChange]:
        """Go by another configuration: what is different now, for each loaded application where something is.

        As in OTP an environment is made anew: what was set since is gone, unless it is persistent.
        """
        self._configured = configured
        changes = {name: _difference(env, self._fresh(name)) for name, env in self._loaded.items()}
        for name in self._loaded:
            self._loaded[name] = self._fresh(name)
        return {name: change for name, change in changes.items() if change != _NOTHING}

    def _fresh(self, name: str) -> dict[str, object]:
        return {**self._given[name], **self._configured.get(name, {}), **self._persistent.get(name, {})}

    def unload(self, name: str) -> None:
        """Drop all but what is persistent."""
        del self._loaded[name], self._given[name]

    def get(self, name: str, key: str, default: object = None) -> object:
        return self._of(name).get(key, default)

    def set(self, name: str, key: str, value: object, *, persistent: bool) -> None:
        for what, word in ((name, "application"), (key, "key")):
            if not is_text(what):
                raise TypeError(f"environment of {name!r}, key {key!r}: the {word} must be a non-empty string")
        if persistent:
            self._persistent.setdefault(name, {})[key] = value
        if name not in self._loaded:
            self._early.setdefault(name, {})
        self._of(name)[key] = value

    def unset(self, name: str, key: str, *, persistent: bool) -> None:
        self._of(name).pop(key, None)
        if persistent:
            self._persistent.get(name, {}).pop(key, None)

    def _of(self, name: str) -> dict[str, object]:
        """What is set; of an application that nobody loads or sets anything of, an empty one that is not kept."""
        return self._loaded[name] if name in self._loaded else self._early.get(name, {})


_NOTHING = ConfigChange({}, {}, ())


def _difference(before: Mapping[str, object], after: Mapping[str, object]) -> ConfigChange:
    """What has become of an environment; 1, 1.0 and true are not the same."""
    both = {key: value for key, value in after.items() if key in before}
    return ConfigChange(
        changed={k: v for k, v in both.items() if (type(v), v) != (type(before[k]), before[k])},
        new={key: value for key, value in after.items() if key not in before},
        removed=tuple(key for key in before if key not in after),
    )
