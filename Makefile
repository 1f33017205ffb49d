check:
	.venv/bin/ruff check policyd tests && .venv/bin/mypy && .venv/bin/pytest -q -m "not e2e"
