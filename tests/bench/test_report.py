"""What a benchmark writes replaces its own section of a document, and nothing else."""

from pathlib import Path

from bench import report


def test_a_section_is_replaced_in_its_place(tmp_path: Path) -> None:
    """The text by hand before, between and behind the sections stays as it was."""
    document = tmp_path / "capacity.md"
    document.write_text("# By hand\n")
    for section in ("first", "second"):
        report.write(section, f"{section}: old", document)
    document.write_text(document.read_text() + "also by hand\n")

    report.write("first", "first: new", document)

    assert document.read_text() == (
        "# By hand\n\n<!-- begin: first -->\nfirst: new\n<!-- end: first -->\n"
        "\n<!-- begin: second -->\nsecond: old\n<!-- end: second -->\nalso by hand\n"
    )


def test_a_document_that_is_not_there_is_made(tmp_path: Path) -> None:
    """The first section makes the document."""
    report.write("only", report.table(("a", "b"), [("1", "2")]), tmp_path / "new.md")

    assert (
        "<!-- begin: only -->\n| a | b |\n| --- | --- |\n| 1 | 2 |\n<!-- end: only -->\n"
        in (tmp_path / "new.md").read_text()
    )


def test_the_machine_and_its_noise_are_said() -> None:
    """One line each; the shares are of the time since the beginning."""
    said = report.Noise().said()

    assert "CPUs" in said
    assert "steal" in said
