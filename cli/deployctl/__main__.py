"""`python3 -m deployctl`, for where no script was installed."""

from deployctl.commands.main import run

run()
