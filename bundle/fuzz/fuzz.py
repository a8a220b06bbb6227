#!/usr/bin/env python3
"""Fuzz the readers of bundles with atheris (libFuzzer), which follows the coverage of our code.

    PYTHONPATH=bundle/tests:bundle/fuzz bundle/fuzz/fuzz.py -max_total_time=600 -rss_limit_mb=1024 WORK bundle/fuzz/corpus

New inputs go to the folder WORK. What breaks a reader is written to crash-…: mend the reader, and put the file into the corpus.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["deploybundle"]):
    from targets import feed

if __name__ == "__main__":
    atheris.Setup(sys.argv, feed)
    atheris.Fuzz()
