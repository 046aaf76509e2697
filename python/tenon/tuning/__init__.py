"""Measured schedules: what is stored of them on this machine, and how it goes to others.

Every build of a function without a schedule looks here before it asks the default rules; the
report of a kernel or network says where each schedule is from. `tenon.config.tuning_dir` is the
folder.
"""

from tenon.tuning._records import (
    ExportReport,
    MergeReport,
    Record,
    export,
    merge,
    records,
    show,
    store,
)

__all__ = ["ExportReport", "MergeReport", "Record", "export", "merge", "records", "show", "store"]
