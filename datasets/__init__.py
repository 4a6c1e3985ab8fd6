"""Where logs lie: one file per dataset, each answering one small protocol."""

if __name__ != "perceptum.datasets":
    raise ImportError("import this folder as perceptum.datasets, not by its bare name")
