"""``policyd config``: check, show, schema and diff, without a daemon."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.support.command import policyd
from tests.support.dovecot_lab import Lab

GOOD = """\
version: 1
mode: observe
listen: {postfix: ["unix:/run/policyd/policy"]}
accounts:
  local_names: []
  default_plan: shared
  domains:
    example.org: shared
    example.net: {plan: shared, change: {domain-hourly: {max: 800}}}
limits:
  domain-hourly: {kind: rate, max: 400, window: 1h}
plans:
  shared: {apply: [domain-hourly]}
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Return a configuration without mistakes."""
    path = tmp_path / "policyd.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """Return a configuration with two mistakes."""
    path = tmp_path / "bad.yaml"
    path.write_text(GOOD.replace("window: 1h", "window: 22:00").replace("mode: observe", "mode: off"))
    return path


def run(*arguments: str | Path, **environ: str) -> tuple[int, str, str]:
    """Return exit code, output and errors of ``policyd config``."""
    done = policyd("config", *map(str, arguments), **environ)
    return done.returncode, done.stdout, done.stderr


def test_check_good(good: Path) -> None:
    """A good file is summed up in one line."""
    assert run("check", "--config", good) == (
        0, f"{good}: no mistakes; 1 limit in 1 plan for 2 domains, mode observe\n", "",
    )  # fmt: skip


def test_check_takes_the_file_as_it_stands(good: Path, bad: Path) -> None:
    """What is named without --config is what is meant, whatever the environment says."""
    assert run("check", good) == run("check", "--config", good)
    assert run("check", good, POLICYD_CONFIG=str(bad))[0] == 0


def test_check_bad(bad: Path) -> None:
    """All mistakes are shown at once, each with its place and its cure, and the exit code is 1."""
    code, output, errors = run("check", "-c", bad)

    assert (code, output) == (1, "")
    assert [line.split(": ")[0] for line in errors.splitlines()] == [f"{bad}:2:7", f"{bad}:11:49"]
    assert all(line.endswith(")") for line in errors.splitlines())


def test_check_json(good: Path, bad: Path) -> None:
    """--json has the same mistakes, and an empty list where there is none."""
    code, output, errors = run("check", "--config", bad, "--json")

    assert (code, errors) == (1, "")
    assert [issue.startswith(str(bad)) for issue in json.loads(output)["issues"]] == [True, True]
    code, output, _ = run("check", "--config", good, "--json")
    assert (code, json.loads(output)) == (0, {"issues": [], "findings": [], "notes": []})


def test_check_missing(tmp_path: Path) -> None:
    """A file that is not there is a problem, which says what to do."""
    code, _, errors = run("check", "--config", tmp_path / "none.yaml")

    cure = "create it, or let policyd's user read it"
    assert (code, errors) == (1, f"{tmp_path}/none.yaml: cannot be read: No such file or directory ({cure})\n")


def test_check_bad_include(good: Path) -> None:
    """A bad included file is a problem, although its last good text would be in force."""
    good.write_text(GOOD.replace("  domains:\n", '  include: ["more.d/*.yaml"]\n  domains:\n', 1))
    more = good.parent / "more.d" / "x.yaml"
    more.parent.mkdir()
    more.write_text("domains: {example.com: {plan: shored}}\n")
    code, _, errors = run("check", "--config", good)

    assert code == 1
    assert errors.startswith(f"{more}:1:")
    assert "(did you mean shared" in errors


def test_check_postfix(good: Path) -> None:
    """Where Postfix cannot be asked the exit code is 1 and the message names the command."""
    code, output, errors = run("check", "--config", good, "--postfix-config", "/nowhere")

    assert (code, output) == (1, "")
    assert errors.startswith("policyd: /")
    assert "postconf -c /nowhere" in errors


@pytest.mark.e2e
@pytest.mark.parametrize(("before", "code", "found"), [("no", 0, []), ("yes", 1, ["auth_policy_check_before_auth"])])
def test_check_dovecot(good: Path, tmp_path: Path, before: str, code: int, found: list[str]) -> None:
    """The real doveconf is asked for another Dovecot's configuration; what is wrong has the line to write."""
    lab = Lab(tmp_path).good().write(f"auth_policy_check_before_auth = {before}")
    lab.view()
    listen = f'{{postfix: ["unix:/run/policyd/policy"], dovecot: "127.0.0.1:10032", dovecot_key_file: {lab.key_file}}}'
    good.write_text(GOOD.replace('{postfix: ["unix:/run/policyd/policy"]}', listen))

    done = run("check", "--config", good, "--dovecot-config", lab.file, "--json")

    assert (done[0], [finding["where"] for finding in json.loads(done[1])["findings"]]) == (code, found)
    shown = run("check", "--config", good, "--dovecot-config", lab.file)[1]
    assert ("auth_policy_check_before_auth = no" in shown.splitlines()) is bool(found)
    assert ("Dovecot: policyd is asked as it should be" in shown.splitlines()) is not bool(found)


def test_check_dovecot_without_one(good: Path) -> None:
    """Where Dovecot or the key cannot be read that is a finding, with what to do; for programs too."""
    code, output, _ = run("check", "--config", good, "--dovecot-config", "/nowhere", "--json")
    (finding,) = json.loads(output)["findings"]
    assert (code, finding["severity"], finding["where"]) == (1, "error", "doveconf")
    listen = '{postfix: ["unix:/run/policyd/policy"], dovecot: "127.0.0.1:10032", dovecot_key_file: /nowhere}'
    good.write_text(GOOD.replace('{postfix: ["unix:/run/policyd/policy"]}', listen))

    code, output, errors = run("check", "--config", good)

    assert (code, output) == (1, "")
    cure = "policyd init-key --file /nowhere"
    where = f"{good}:3:{len('listen: ' + listen) - len('/nowhere}') + 1}: listen.dovecot_key_file"
    assert errors == f"{where}: /nowhere: the file is not there ({cure})\n"


def test_check_of_files_beside_other_mistakes(bad: Path) -> None:
    """A file that is missing is shown at once with all else that is wrong."""
    bad.write_text(bad.read_text() + "store: {url: 'rediss://r?ssl_ca_certs=/nowhere.pem', password_file: /nowhere}\n")
    _, _, errors = run("check", bad)

    assert [line.partition(": ")[2].split(" (")[0] for line in errors.splitlines()][2:] == [
        "store.url: /nowhere.pem: the file is not there",
        "store.password_file: /nowhere: the file is not there",
    ]


def test_check_of_a_credential(good: Path) -> None:
    """What only systemd has is no mistake, and the note says that nobody has looked at it."""
    good.write_text(GOOD + "store: {url: 'redis://r', password_file: 'credential:redis'}\n")
    code, output, errors = run("check", good)

    assert (code, errors) == (0, "")
    assert "note: store.password_file: credential:redis is not looked at: only the unit has it" in output


def test_the_environment_names_the_file(good: Path) -> None:
    """POLICYD_CONFIG is used where --config is absent."""
    assert run("check", POLICYD_CONFIG=str(good))[0] == 0


def test_show_domain(good: Path) -> None:
    """A domain is shown with each value and who wrote it."""
    code, output, _ = run("show", "Example.NET", "--config", good)
    words = [line.split() for line in output.splitlines()]

    assert code == 0
    column = GOOD.splitlines()[8].index("800") + 1
    assert ["max", "800", "domain", "example.net", f"({good}:9:{column})"] in words
    assert ["window", "1h", "limit", "domain-hourly", f"({good}:11:49)"] in words
    assert ["mode", "observe"] in words


def test_show_json(good: Path) -> None:
    """--json has the fields of each limit."""
    shown = json.loads(run("show", "example.net", "--config", good, "--json")[1])
    fields = {field["name"]: field["value"] for field in shown["limits"][0]["fields"]}

    assert (shown["account"], shown["plan"], fields["max"]) == ("example.net", "shared", "800")


def test_show_all(good: Path) -> None:
    """Without a domain the whole is shown in short."""
    code, output, _ = run("show", "--config", good)

    assert code == 0
    assert "domain-hourly: 400 recipients in 1h per domain" in output
    assert json.loads(run("show", "--config", good, "--json")[1])["lines"] == output.splitlines()


def test_schema() -> None:
    """The schema is one that editors take, and it takes a good file."""
    code, output, _ = run("schema")
    schema = json.loads(output)

    assert code == 0
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(GOOD), schema)


def test_diff(good: Path, tmp_path: Path) -> None:
    """What changes is told value by value, and the exit code is 1; 0 where nothing does."""
    new = tmp_path / "new.yaml"
    new.write_text(GOOD.replace("max: 400", "max: 500").replace("mode: observe", "mode: enforce"))
    lines = ["mode: observe -> enforce", "limits.domain-hourly.max: 400 -> 500"]

    assert run("diff", good, new) == (1, "".join(f"{line}\n" for line in lines), "")
    assert json.loads(run("diff", good, new, "--json")[1]) == {"changes": lines, "over": []}
    assert run("diff", good, good) == (0, "no difference\n", "")


def test_diff_of_a_bad_file(good: Path, bad: Path) -> None:
    """A file with mistakes cannot be compared; they are shown."""
    code, output, errors = run("diff", good, bad)

    assert (code, output) == (1, "")
    assert errors.startswith(f"{bad}:2:7: mode")
