# find_python: the first Python of at least 3.11 that can make virtual environments. Sourced by setup.sh and install.sh.

usable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in $PYTHON python3 python3.11 python3.12 python3.13 python3.14 /usr/bin/python3; do
        if usable "$candidate"; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return 0
        fi
    done
    echo "tayori needs Python 3.11 or newer with the module venv." >&2
    echo "On Debian and Ubuntu: apt-get install python3 python3-venv" >&2
    echo "Another Python: make PYTHON=/path/to/python3.11 ..." >&2
    return 1
}
