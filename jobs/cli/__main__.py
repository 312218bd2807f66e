"""`python -m jobs.cli` is `nst`."""

from jobs.cli.import_path import leave_current_folder_out

leave_current_folder_out()

from jobs.cli.main import main  # noqa: E402 - the path first

main()
