"""Small configurations for tests: each section has a value that works, and a test writes its own."""

from pathlib import Path

from policyd.conf.load import load
from policyd.conf.schema import Config, RateLimit
from policyd.errors import ConfigError

SECTIONS = {
    "version": "1",
    "listen": '{postfix: ["unix:/run/policyd/policy"]}',
    "limits": "{domain-hourly: {kind: rate, max: 400, window: 1h}}",
    "plans": "{shared: {apply: [domain-hourly]}}",
}


def config_text(accounts: str = "", **sections: str) -> str:
    """Return a configuration with some sections of the test's own, in YAML's flow style.

    ``accounts`` is the inside of that map. This host's names are given, so that nobody is asked.
    """
    inside = f"{{local_names: [host.example.net], default_plan: shared, {accounts}}}"
    return "".join(f"{name}: {value}\n" for name, value in {**SECTIONS, "accounts": inside, **sections}.items())


def write_config(directory: Path, accounts: str = "", **sections: str) -> Path:
    """Write such a configuration and return its path."""
    path = directory / "policyd.yaml"
    path.write_text(config_text(accounts, **sections), "utf-8")
    return path


def loaded(directory: Path, accounts: str = "", **sections: str) -> Config:
    """Return such a configuration as it was loaded, with ``directory``/state as the state directory."""
    state = directory / "state"
    state.mkdir(exist_ok=True)
    return load(write_config(directory, accounts, **sections), str(state))


def rate_limit(config: Config, name: str) -> RateLimit:
    """Return a limit of kind rate by its name."""
    limit = config.limits[name]
    assert isinstance(limit, RateLimit)
    return limit


def problems(directory: Path, accounts: str = "", **sections: str) -> list[str]:
    """Return the messages of a configuration with mistakes, without the directory."""
    try:
        loaded(directory, accounts, **sections)
    except ConfigError as error:
        return [str(issue).replace(f"{directory}/", "") for issue in error.issues]
    return []
