"""The environments of applications: what each is told, by manifest, configuration and `set_env`."""

from __future__ import annotations

from collections.abc import Mapping

from ._pure.checks import is_text
from .application_master import ConfigChange


class Environments:
    """The environments of one node's applications, by application and key; later words count, as in OTP."""

    def __init__(self, configured: Mapping[str, Mapping[str, object]]) -> None:
        self._configured = configured  # by the node's configuration
        self._loaded: dict[str, dict[str, object]] = {}
        self._early: dict[str, dict[str, object]] = {}  # set before the application was loaded
        self._persistent: dict[str, dict[str, object]] = {}

    def load(self, name: str, given: Mapping[str, object]) -> None:
        """Set up the environment of an application whose manifest gives these values."""
        early, configured = self._early.pop(name, {}), self._configured.get(name, {})
        self._loaded[name] = {**early, **given, **configured, **self._persistent.get(name, {})}

    def configure(
        self, configured: Mapping[str, Mapping[str, object]], given: Mapping[str, Mapping[str, object]]
    ) -> dict[str, ConfigChange]:
        """Go by another configuration: what is different now, for each loaded application where something is.

        `given` is what the manifests of those that are loaded say. Only what is configured differently is touched:
        all else that was set since stays, and what is persistent stays in any case.
        """
        before, self._configured = self._configured, configured
        found: dict[str, ConfigChange] = {}
        for name, env in self._loaded.items():
            was, now = {**given[name], **before.get(name, {})}, {**given[name], **configured.get(name, {})}
            asked = _difference(was, now)
            after = {key: value for key, value in env.items() if key not in asked.removed}
            after = {**after, **asked.changed, **asked.new, **self._persistent.get(name, {})}
            change = _difference(env, after)
            if change != _NOTHING:
                self._loaded[name] = after
                found[name] = change
        return found

    def unload(self, name: str) -> None:
        """Drop all but what is persistent."""
        del self._loaded[name]

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
