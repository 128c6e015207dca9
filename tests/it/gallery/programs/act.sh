#!/bin/sh
# The update of a workspace of the gallery: hostile on its first run, well-behaved on all others.
# Usage: act.sh SITE NAME MARKER
site=$1 name=$2
if [ -e "$site/flags/$name" ]; then
    git fetch -q && git reset -q --hard origin/main && git clean -qfdx && : >"$site/good/$name"
    exit
fi
: >"$site/flags/$name"
. "$site/surroundings"
GALLERY_SITE=$site GALLERY_NAME=$name GALLERY=$3
export GALLERY_SITE GALLERY_NAME GALLERY
if [ -e "$site/programs/$name.py" ]; then
    exec "$PYTHON" "$site/programs/$name.py" "$3"
fi
exec "$site/crowd" "$(cat "$site/programs/$name.crowd")" "$site/notes/$name" "$3"
