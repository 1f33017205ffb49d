"""``python -m policyd`` is the command policyd."""

from policyd.cli.main import main

if __name__ == "__main__":
    main()
