#!/bin/sh
# Builds ringmaster_VERSION_ARCH.deb from this checkout:
#
#     sh docs/install/debian/build.sh FOLDER
#
# Needs dpkg-deb, and pip from 22.3 on (the checkout's own .venv, or python3-pip). The package holds a
# virtual environment with every library that requirements.txt pins, each checked by its hash, for the
# Python that PYTHON names: Debian's own, which the package then depends on.
set -eu
out=${1:?"Name the folder that the package is to be written to: sh docs/install/debian/build.sh FOLDER"}
checkout=$(cd "$(dirname "$0")/../../.." && pwd)
recipe=$checkout/docs/install/debian
python=${PYTHON:-/usr/bin/python3}
pip=${PIP:-}
[ -n "$pip" ] || { [ -x "$checkout/.venv/bin/pip" ] && pip=$checkout/.venv/bin/pip; } || pip="$python -m pip"
home=/usr/lib/ringmaster

version=${VERSION:-$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$checkout/project/__init__.py")}
# What is not released yet sorts before the release of that number.
version=$(echo "$version" | sed 's/\.dev/~dev/')
architecture=$(dpkg --print-architecture)
minor=$("$python" -c 'import sys; print(sys.version_info[1])')

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
umask 022
install -d "$tree/DEBIAN" "$tree$home/docs" "$tree/usr/bin" "$tree/lib/systemd/system" \
    "$tree/usr/share/doc/ringmaster"

cd "$checkout"
cp -r manage.py Procfile requirements.txt project ari_bridge calls cdr asterisk "$tree$home/"
cp -r docs/*.md docs/redis "$tree$home/docs/"
sed -i "s|/srv/ringmaster|$home|g" "$tree$home"/docs/redis/*
cp README.md CHANGELOG.md SECURITY.md "$tree/usr/share/doc/ringmaster/"
find "$tree$home" -name __pycache__ -prune -exec rm -rf {} +

"$python" -m venv --without-pip --symlinks "$tree$home/.venv"
$pip --python "$tree$home/.venv/bin/python" install --quiet --disable-pip-version-check --no-compile \
    --require-hashes --requirement requirements.txt
# Where it will stand, in place of where it was made.
grep -rlI "$tree" "$tree$home/.venv/bin" "$tree$home/.venv/pyvenv.cfg" | xargs -r sed -i "s|$tree||g"
# The processes may write nothing here, byte code neither.
"$python" -m compileall -q -s "$tree" "$tree$home" >/dev/null || true
ln -s /etc/ringmaster/ringmaster.env "$tree$home/.env"

for unit in docs/install/systemd/*; do
    sed "s|/srv/ringmaster|$home|g" "$unit" > "$tree/lib/systemd/system/$(basename "$unit")"
done
install -m 755 "$recipe/ringmaster" "$tree/usr/bin/ringmaster"
for script in postinst prerm postrm; do
    install -m 755 "$recipe/$script" "$tree/DEBIAN/$script"
done
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" \
    -e "s/@PYTHON@/3.$minor/" -e "s/@NEXT_PYTHON@/3.$((minor + 1))/" \
    -e "s/@SIZE@/$(du -sk "$tree" | cut -f1)/" "$recipe/control" > "$tree/DEBIAN/control"

mkdir -p "$out"
package=$out/ringmaster_${version}_$architecture.deb
dpkg-deb --root-owner-group -Zzstd -z6 --build "$tree" "$package" >/dev/null
echo "$package"
