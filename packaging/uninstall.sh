#!/bin/sh
# Takes away what install.sh made. Configurations, accounts, mailboxes and the queue stay.
set -eu
: "${PREFIX:=/usr/local}" "${LIBDIR:=/opt/tayori}" "${UNITDIR:=/etc/systemd/system}" "${DESTDIR:=}"

if [ -z "$DESTDIR" ] && [ "$(id -u)" != 0 ]; then
    echo "make uninstall needs root: sudo make uninstall" >&2
    exit 77
fi
if [ ! -e "$DESTDIR$LIBDIR/bin/tayori" ]; then
    echo "tayori is not installed in $DESTDIR$LIBDIR" >&2
    exit 69
fi
running=
[ -z "$DESTDIR" ] && command -v systemctl >/dev/null && [ -d /run/systemd/system ] && running=yes
for unit in tayori.service tayori-saslauthd.service; do
    [ -n "$running" ] && systemctl disable -q --now "$unit" 2>/dev/null || true
    if cmp -s "$DESTDIR$LIBDIR/$unit" "$DESTDIR$UNITDIR/$unit"; then
        rm -f "$DESTDIR$UNITDIR/$unit"
    elif [ -e "$DESTDIR$UNITDIR/$unit" ]; then
        echo "kept: $UNITDIR/$unit was changed"
    fi
done
for link in "$DESTDIR$PREFIX"/bin/tayori "$DESTDIR$PREFIX"/sbin/*; do
    if [ -L "$link" ] && [ "$(readlink "$link")" = "$LIBDIR/bin/tayori" ]; then
        rm -f "$link"
    fi
done
rm -rf "$DESTDIR${LIBDIR:?}"
[ -n "$running" ] && systemctl daemon-reload
echo "tayori is gone from $DESTDIR$LIBDIR; configuration, mailboxes and queue are where they were"
