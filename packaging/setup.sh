#!/bin/sh
# Makes .venv with tayori and what the tests need. Does nothing when that has been done already.
# EXTRAS: test (no compiler needed) or all (every optional back end; some are built from source).
set -eu
cd "$(dirname "$0")/.."
. packaging/python.sh

extras=${EXTRAS:-test}
[ "$extras" = all ] && extras=all,test
stamp=.venv/set-up
now=$(cat pyproject.toml constraints.txt | cksum)

if [ -x .venv/bin/tayori ] && [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" = "$now" ]; then
    case ",$(tail -n 1 "$stamp")," in *",all,"*) exit 0 ;; esac
    [ "$extras" = test ] && exit 0
fi

if [ "$extras" = all,test ]; then
    need=
    for package in gcc python3-dev libldap2-dev libsasl2-dev libdb5.3-dev libkrb5-dev pkg-config; do
        if command -v dpkg-query >/dev/null && ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null |
            grep -q 'install ok installed'; then
            need="$need $package"
        fi
    done
    if [ -n "$need" ]; then
        echo "EXTRAS=all builds some back ends from source (LDAP: libldap2-dev libsasl2-dev; sasldb: libdb5.3-dev;"
        echo "Kerberos: libkrb5-dev). If that fails: apt-get install$need"
    fi
fi

python=$(find_python)
if [ ! -x .venv/bin/python ]; then
    echo "Setting up .venv with $python (once; a minute or two)"
    "$python" -m venv .venv
fi
.venv/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[$extras]"
printf '%s\n%s\n' "$now" "$extras" >"$stamp"
echo "Ready: .venv/bin/tayori"
