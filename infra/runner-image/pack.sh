#!/usr/bin/env bash
# Makes the folder that carries the runner into an image: pack.sh BUNDLE DESTINATION
#
# It has to stand in images that hold neither Node nor a C library, such as Alpine's or one that holds a single static
# program. So it brings its own Node, with the libraries that this needs and the loader that loads them, all found by
# absolute paths below /errand, where the folder has to be mounted or copied to. What the command itself is loaded with is
# not touched: nothing of this is in its environment.
set -euo pipefail
bundle=$1
destination=$2
node=$(node -p 'process.execPath')

rm -rf "$destination"
mkdir -p "$destination/bin" "$destination/lib"
cp -L "$node" "$destination/bin/node"
# `ldd` names each library with its path, and the loader by its path alone.
ldd "$node" | grep -o '/[^ ]*' | while read -r library; do cp -L "$library" "$destination/lib/"; done
loader=$(basename "$(patchelf --print-interpreter "$node")")
patchelf --set-interpreter "/errand/lib/$loader" --set-rpath /errand/lib "$destination/bin/node"
cp -R "$bundle"/. "$destination/bin/"
find "$destination/bin" -name '*.map' -delete
printf '#!/errand/bin/node\nimport("/errand/bin/runner.mjs");\n' >"$destination/bin/runner"
chmod -R a+rX,u+w "$destination"
chmod a+x "$destination/bin/runner" "$destination/bin/node"
