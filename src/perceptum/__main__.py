"""`python -m perceptum`."""

from perceptum.cli import main

if __name__ == "__main__":
    main()
