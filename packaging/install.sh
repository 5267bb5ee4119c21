#!/bin/sh
# Installs for the whole machine: a virtual environment in LIBDIR, PREFIX/bin/tayori, systemd units.
# Files under /etc that exist are never changed. With DESTDIR nothing outside of it is touched.
set -eu
cd "$(dirname "$0")/.."
. packaging/python.sh
: "${PREFIX:=/usr/local}" "${LIBDIR:=/opt/tayori}" "${UNITDIR:=/etc/systemd/system}"
: "${DESTDIR:=}" "${LINKS:=}" "${INSTALL_EXTRAS:=bcrypt,pgsql,mysql,lmdb,pcre,oauth}"
tools="sendmail mailq newaliases postconf postmap postalias postqueue postsuper postcat
 testsaslauthd saslpasswd2 sasldblistusers2 pluginviewer"
home=$DESTDIR$LIBDIR

if [ -z "$DESTDIR" ] && [ "$(id -u)" != 0 ]; then
    echo "make install needs root: sudo make install" >&2
    exit 77
fi

# The server gives root up: a Python that only root can read (one under /root) would stop it there.
reachable() { case "$(readlink -f "$1")" in /root/* | /home/*) return 1 ;; esac; }
python=$(find_python)
if ! reachable "$python"; then
    if usable /usr/bin/python3; then
        python=/usr/bin/python3
    elif [ -z "$DESTDIR" ]; then
        echo "$python lies in a home folder that the mail server's user cannot read." >&2
        echo "Install Python for all users: apt-get install python3 python3-venv" >&2
        exit 69
    fi
fi

echo "Installing into $home with $python"
mkdir -p "$home"
"$python" -m venv --clear "$home"
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT
cp -R src pyproject.toml README.md LICENSE "$source"
"$home/bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt "$source[$INSTALL_EXTRAS]"
if [ -n "$DESTDIR" ]; then
    # what is packed here runs from LIBDIR
    grep -rlIF "$DESTDIR" "$home/bin" "$home/pyvenv.cfg" | while read -r file; do
        sed -i "s|$DESTDIR||g" "$file"
    done
fi

link() {
    mkdir -p "$(dirname "$DESTDIR$2")"
    if [ -e "$DESTDIR$2" ] || [ -L "$DESTDIR$2" ]; then
        if [ "$(readlink "$DESTDIR$2" || true)" != "$1" ]; then
            echo "kept: $2 is there already and is not ours"
            return 0
        fi
    fi
    ln -sfn "$1" "$DESTDIR$2"
    echo "linked: $2"
}

link "$LIBDIR/bin/tayori" "$PREFIX/bin/tayori"
[ "$LINKS" = all ] && LINKS=$tools
for tool in $LINKS; do
    case " $(echo $tools) " in
    *" $tool "*) link "$LIBDIR/bin/tayori" "$PREFIX/sbin/$tool" ;;
    *) echo "there is no tool $tool; there are:" $tools >&2; exit 64 ;;
    esac
done

mkdir -p "$DESTDIR$UNITDIR"
for unit in tayori.service tayori-saslauthd.service; do
    sed "s|@LIBDIR@|$LIBDIR|g" "packaging/$unit" >"$home/$unit"
    if [ -e "$DESTDIR$UNITDIR/$unit" ] && ! cmp -s "$home/$unit" "$DESTDIR$UNITDIR/$unit"; then
        echo "kept: $UNITDIR/$unit differs from ours, which is in $LIBDIR/$unit"
    else
        cp "$home/$unit" "$DESTDIR$UNITDIR/$unit"
    fi
done
[ -n "$DESTDIR" ] && exit 0

if ! getent passwd postfix >/dev/null && ! getent passwd tayori >/dev/null; then
    useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tayori
    echo "made: the user tayori, as whom the server speaks to strangers"
fi

if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    other=
    for unit in postfix exim4 sendmail opensmtpd; do
        systemctl is-enabled -q "$unit" 2>/dev/null && other=$unit
    done
    if [ -n "$other" ]; then
        echo "$other starts at boot and holds port 25. To change over:"
        echo "  systemctl disable --now $other && systemctl enable --now tayori"
    else
        systemctl enable -q tayori
        echo "tayori starts at boot from now on"
    fi
fi
if [ ! -e /etc/tayori/main.cf ] && [ ! -e /etc/postfix/main.cf ]; then
    echo "Next: tayori init -c /etc/tayori, then: systemctl start tayori"
else
    echo "Next: tayori check, then: systemctl start tayori"
fi
