"""`python -m fetalseg.cli`, for where the command isn't on the PATH."""

from fetalseg.cli import main

raise SystemExit(main())
