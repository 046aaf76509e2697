"""Checks what the runtime needs: usage check_symbols.py OBJECT ARCHIVE.

OBJECT, which goes into artefacts, may need symbols of libc and libm only and has no code that runs
at load or unload. ARCHIVE, the compiler's side of the runtime, knows neither LLVM nor the IR.
"""

import ctypes
import re
import subprocess
import sys


def undefined_symbols(path: str) -> list[str]:
    lines = subprocess.run(["nm", "-u", path], check=True, capture_output=True, text=True).stdout
    return [line.split()[-1] for line in lines.splitlines() if " U " in line]


def main() -> int:
    path, archive = sys.argv[1:]
    libraries = [ctypes.CDLL("libc.so.6"), ctypes.CDLL("libm.so.6")]
    linker_made = {"_GLOBAL_OFFSET_TABLE_", "tenon_embedded_model"}  # the latter: a library's own
    bad = [
        f"needs {symbol}, which is in neither libc nor libm"
        for symbol in undefined_symbols(path)
        if symbol not in linker_made and not any(hasattr(lib, symbol) for lib in libraries)
    ]
    sections = subprocess.run(["readelf", "-SW", path], check=True, capture_output=True, text=True)
    bad += [
        f"has a section {name}"
        for name in (".init_array", ".fini_array", ".ctors", ".dtors")
        if name in sections.stdout
    ]
    bad = [f"{path}: {line}" for line in bad]
    bad += [
        f"{archive}: needs {symbol}, which is above the runtime"
        for symbol in undefined_symbols(archive)
        if "llvm" in symbol.lower() or re.match(r"_ZN?K?5tenon.*(Expr|Stmt)Node", symbol)
    ]
    print("\n".join(bad))
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
