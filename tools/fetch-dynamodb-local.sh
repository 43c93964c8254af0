#!/usr/bin/env bash
# Brings Amazon's DynamoDB Local to .cache/dynamodb-local, for the tests that run on it. Needs npm; to run it takes Java 17.
# It comes under Amazon's own licence (LICENSE.txt in that folder), which forbids to pass it on: so it is fetched, never kept.
set -euo pipefail
cd "$(dirname "$0")/.."
package=amplify-dynamodb-simulator@2.9.30
sha256=3503ffac19f183407909fecdacf4db51ab1fdad1da7b2f177016670b2d80e4b9
folder=.cache/dynamodb-local
[ -f "$folder/DynamoDBLocal.jar" ] && exit 0

download=$(mktemp -d)
trap 'rm -rf "$download"' EXIT
npm pack --silent --pack-destination "$download" "$package" >/dev/null
echo "$sha256  $(echo "$download"/*.tgz)" | sha256sum --check --quiet
mkdir -p "$folder.new"
tar -xzf "$download"/*.tgz -C "$folder.new" --strip-components=2 package/emulator
rm -rf "$folder"
mv "$folder.new" "$folder"
