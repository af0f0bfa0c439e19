"""`python -m features.compiled` compiles all kernels, so that nobody waits for it later; `make install` does it."""

from features.compiled.warming import warm

if __name__ == "__main__":
    warm()
