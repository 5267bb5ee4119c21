"""`python -m tayori`."""

from tayori.programs.main import main

main()
