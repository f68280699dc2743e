"""The command line as `python -m gle_bench`, which does what `glebench` does."""

from gle_bench.surroundings import isolation

isolation.leave_current_folder(started_there=True)  # before imports, which could find modules there

from gle_bench.cli import main

if __name__ == "__main__":
    main()
