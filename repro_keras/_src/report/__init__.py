"""A run, or two and how they differ, as one page of HTML that stands by itself."""

from repro_keras._src.report.page import page as page
from repro_keras._src.report.page import write as write
