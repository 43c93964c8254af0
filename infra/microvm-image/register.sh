#!/usr/bin/env bash
# Registers the image that MicroVMs run with AWS Lambda, or a new version of it: the keeper and the runner of this release.
# Safe to run again: run it after each release. Prints the entry for targets.json.
#
#   infra/microvm-image/register.sh --region eu-west-1 --bucket a-bucket --memory 2048
#
# Needs the AWS CLI with `lambda-microvms`, signed in as who may put into the bucket, make a role and register images; Node
# and zip. The bucket must be in the region. --name: of the image, when it is not `errand`; one name for each size of
# machine. --dockerfile FILE: another one, with what commands need.
set -euo pipefail
cd "$(dirname "$0")/../.."

die() { echo "$*" >&2; exit 1; }
say() { echo "== $*" >&2; }
region='' bucket='' name=errand memory=2048 dockerfile=infra/microvm-image/Dockerfile
while [ $# -gt 0 ]; do
  case $1 in
    --region) region=$2; shift 2 ;;
    --bucket) bucket=$2; shift 2 ;;
    --name) name=$2; shift 2 ;;
    --memory) memory=$2; shift 2 ;;
    --dockerfile) dockerfile=$2; shift 2 ;;
    *) die "Unknown: $1. See the head of $0." ;;
  esac
done
[ -n "$region" ] && [ -n "$bucket" ] || die 'Give --region and --bucket.'
[[ $name =~ ^[a-zA-Z0-9_-]{1,58}$ ]] || die 'The name must be letters, digits, _ and -, at most 58.'
[[ $memory =~ ^(512|1024|2048|4096|8192)$ ]] || die 'Lambda has machines of 512, 1024, 2048, 4096 and 8192 MiB.'
[ -f "$dockerfile" ] || die "There is no $dockerfile."
for tool in aws zip node; do command -v "$tool" >/dev/null || die "$tool is missing."; done
aws_() { aws --region "$region" --output text "$@"; }
vms() { aws_ lambda-microvms "$@"; }
account=$(aws_ sts get-caller-identity --query Account)

say 'The keeper and the runner of this release'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PATH=$PWD/node_modules/.bin:$PATH
node -e "import('./infra/bundle.ts').then(({ bundleMicrovm }) => bundleMicrovm(process.argv[1]))" "$work/image/errand"
find "$work/image" -name '*.map' -delete
cp "$dockerfile" "$work/image/Dockerfile"
# The same content is the same object, and the same request to Lambda, whenever it is packed.
digest=$(node - "$work/image" "$memory" <<'JS'
const { createHash } = require('node:crypto');
const { readdirSync, readFileSync } = require('node:fs');
const { join } = require('node:path');
const [, , folder, memory] = process.argv;
const hash = createHash('sha256').update(memory);
const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
for (const path of files.map((one) => join(one.parentPath, one.name)).sort()) {
  hash.update(path.slice(folder.length)).update(readFileSync(path));
}
console.log(hash.digest('hex').slice(0, 16));
JS
)
(cd "$work/image" && zip -qr "$work/image.zip" .)
artifact=microvm-images/$name-$digest.zip
aws_ s3 cp "$work/image.zip" "s3://$bucket/$artifact" >&2

say 'The role that it is built with: it may read that object and log'
role=$name-build
trust='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},
  "Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{"aws:SourceAccount":"'$account'"}}}]}'
policy='{"Version":"2012-10-17","Statement":[
  {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::'$bucket'/microvm-images/'$name'-*"},
  {"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],
   "Resource":"arn:aws:logs:'$region':'$account':log-group:/aws/lambda/microvms/'$name'*"}]}'
aws_ iam get-role --role-name "$role" >/dev/null 2>&1 ||
  aws_ iam create-role --role-name "$role" --assume-role-policy-document "$trust" >&2
aws_ iam put-role-policy --role-name "$role" --policy-name own --policy-document "$policy" >&2

say "The image $name, of $memory MiB"
image=arn:aws:lambda:$region:$account:microvm-image:$name
# Lambda keeps on asking /ready until it is answered 200. /terminate is where a command ends and its runner reports.
hooks='{"port":9000,"microvmImageHooks":{"ready":"ENABLED","readyTimeoutInSeconds":60},
  "microvmHooks":{"run":"ENABLED","runTimeoutInSeconds":10,"terminate":"ENABLED","terminateTimeoutInSeconds":30}}'
options=(
  --base-image-arn "arn:aws:lambda:$region:aws:microvm-image:al2023-1"
  --build-role-arn "arn:aws:iam::$account:role/$role"
  --code-artifact "uri=s3://$bucket/$artifact"
  --cpu-configurations architecture=ARM_64
  --resources "minimumMemoryInMiB=$memory"
  --hooks "$hooks"
  --client-token "$name-$digest"
)
state() { vms get-microvm-image --image-identifier "$image" --query state; }
verb=(create-microvm-image --name "$name")
state >/dev/null 2>&1 && verb=(update-microvm-image --image-identifier "$image")
# A role that was just made is not known everywhere at once.
for tries in 1 2 3 4 5 6; do
  vms "${verb[@]}" "${options[@]}" --query imageVersion >&2 && break
  [ "$tries" -lt 6 ] || die 'Lambda does not take the image. What it said is above.'
  sleep "${REGISTER_WAIT_SECONDS:-10}"
done

say 'Lambda builds it, which takes minutes'
for ((waited = 0; waited < 1800; waited += 10)); do
  case $(state) in
    CREATED | UPDATED) break ;;
    *FAILED) die "It could not be built: look at the log group /aws/lambda/microvms/$name." ;;
  esac
  sleep "${REGISTER_WAIT_SECONDS:-10}"
done
[[ $(state) =~ ^(CREATED|UPDATED)$ ]] || die 'It is not built yet. Run this again later.'

say 'Done. Put this into the targets of targets.json, and deploy with -c targets=targets.json:'
cat <<JSON
{
  "name": "lambda-microvm",
  "provider": "lambda-microvm",
  "config": {
    "region": "$region",
    "image": "$image"
  }
}
JSON
