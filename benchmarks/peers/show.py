"""Prints results.jsonl as Markdown tables; the latest record of a peer and case counts.

usage: show.py RESULTS_JSONL [gemm|memory|net|call ...]
"""

import json
import sys
from pathlib import Path


def cell(section, record):
    """Return the text of one record in the unit of its section."""
    if "error" in record:
        return "fails"
    if section == "gemm":
        return f"{record['gflops']:.0f} GF/s"
    if section == "memory":
        return f"{record['gbs']:.1f} GB/s"
    if section == "call":
        return f"{record['median_ms'] * 1e3:.2f} us"
    return f"{record['median_ms']:.3g} ms / {record['min_ms']:.3g} ms"


def show(section, records):
    peers, rows = [], {}
    for record in records:
        kind, _, case = record["case"].partition("_")
        if kind == section:
            peer = f"{record['peer']}@{record['threads']}"
            peers += [peer] if peer not in peers else []
            rows.setdefault(case, {})[peer] = cell(section, record)
    print(f"\n### {section}\n\n| case | {' | '.join(peers)} |\n|{'---|' * (len(peers) + 1)}")
    for case, cells in rows.items():
        print(f"| {case} | {' | '.join(cells.get(peer, '') for peer in peers)} |")


if __name__ == "__main__":
    lines = Path(sys.argv[1]).read_text().splitlines()
    for wanted in sys.argv[2:] or ["gemm", "memory", "net", "call"]:
        show(wanted, [json.loads(line) for line in lines])
