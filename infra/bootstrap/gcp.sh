#!/usr/bin/env bash
# Prepares a Google Cloud project, once, for a target on Cloud Run of an installation on AWS: whom it trusts, what they may
# do, and the bucket with the runner. No key is made. Safe to run again: what is there is brought up to date.
# Prints the entry for targets.json.
#
#   infra/bootstrap/gcp.sh --project a-project --region europe-west1 --aws-account 123456789012 --stage production
#
# Needs gcloud, signed in as an owner of the project. With --pack DIR it takes the packed runner from there; otherwise it
# packs one, which needs x86-64 Linux, Node and patchelf. --no-runner: images bring the runner themselves.
set -euo pipefail
cd "$(dirname "$0")/../.."

die() { echo "$*" >&2; exit 1; }
say() { echo "== $*" >&2; }
project='' region='' account='' stage=development pack='' runner=yes image=debian:12-slim
while [ $# -gt 0 ]; do
  case $1 in
    --project) project=$2; shift 2 ;;
    --region) region=$2; shift 2 ;;
    --aws-account) account=$2; shift 2 ;;
    --stage) stage=$2; shift 2 ;;
    --image) image=$2; shift 2 ;;
    --pack) pack=$2; shift 2 ;;
    --no-runner) runner=no; shift ;;
    *) die "Unknown: $1. See the head of $0." ;;
  esac
done
[ -n "$project" ] && [ -n "$region" ] || die 'Give --project and --region.'
[[ $account =~ ^[0-9]{12}$ ]] || die 'Give --aws-account: its 12 digits (aws sts get-caller-identity).'
[[ $stage =~ ^[a-z][a-z0-9-]{0,17}$ ]] || die 'The stage must be a lower-case name of at most 18 characters: Google takes no longer ones.'
command -v gcloud >/dev/null || die 'gcloud is missing: https://cloud.google.com/sdk/docs/install'

name=errand-$stage
gc() { gcloud --quiet --project "$project" "$@"; }
# What else may be wrong is said when it is made.
is_there() { gc "$@" >/dev/null 2>&1; }

say "Services of $project"
gc services enable run.googleapis.com iam.googleapis.com iamcredentials.googleapis.com sts.googleapis.com storage.googleapis.com >&2
number=$(gc projects describe "$project" --format='value(projectNumber)')

say "Trust in three roles of the AWS account $account, and in no other"
# Of the functions that start, watch and remove commands. Whoever else is in that account stays out.
roles=("$name-run-commands" "$name-sweep" "$name-prepare-target")
is_there iam workload-identity-pools describe "$name" --location global ||
  gc iam workload-identity-pools create "$name" --location global --display-name "$name" >&2
# The subject is the role and not the whole ARN, which Google takes up to 127 bytes of.
aws_role="assertion.arn.extract('assumed-role/{role}/')"
condition="attribute.aws_role in ['${roles[0]}', '${roles[1]}', '${roles[2]}']"
verb=create-aws
is_there iam workload-identity-pools providers describe aws --location global --workload-identity-pool "$name" && verb=update-aws
gc iam workload-identity-pools providers "$verb" aws --location global --workload-identity-pool "$name" \
  --account-id "$account" --attribute-mapping "google.subject=$aws_role,attribute.aws_role=$aws_role" \
  --attribute-condition "$condition" >&2
pool=iam.googleapis.com/projects/$number/locations/global/workloadIdentityPools/$name
member() { echo "principalSet://$pool/attribute.aws_role/$1"; }

say 'Whom commands are: an account without any role'
jobs=$name-jobs@$project.iam.gserviceaccount.com
is_there iam service-accounts describe "$jobs" ||
  gc iam service-accounts create "$name-jobs" --display-name "Commands of $name: no role, ever" >&2

say 'Who starts them: only what that takes'
starter=$name-run@$project.iam.gserviceaccount.com
is_there iam service-accounts describe "$starter" ||
  gc iam service-accounts create "$name-run" --display-name "Starts commands of $name" >&2
role=${name//-/_}
permissions=run.jobs.create,run.jobs.get,run.jobs.list,run.jobs.delete,run.jobs.run,run.jobs.runWithOverrides
permissions+=,run.executions.get,run.executions.list,run.executions.cancel,run.tasks.list
verb=create
is_there iam roles describe "$role" && verb=update
gc iam roles "$verb" "$role" --title "Starts commands of $name" --permissions "$permissions" --stage GA >&2
gc projects add-iam-policy-binding "$project" --condition None \
  --member "serviceAccount:$starter" --role "projects/$project/roles/$role" >/dev/null
gc iam service-accounts add-iam-policy-binding "$jobs" \
  --member "serviceAccount:$starter" --role roles/iam.serviceAccountUser >/dev/null
for one in "${roles[@]}"; do
  gc iam service-accounts add-iam-policy-binding "$starter" \
    --member "$(member "$one")" --role roles/iam.workloadIdentityUser >/dev/null
done

bucket=$project-$name-runner
if [ "$runner" = yes ]; then
  say "The runner, in gs://$bucket: commands may read it, and only a deployment may replace it"
  if [ -z "$pack" ]; then
    [ "$(uname -sm)" = 'Linux x86_64' ] || die 'The runner is packed on x86-64 Linux. Pack it there, and give --pack DIR.'
    command -v patchelf >/dev/null || die 'patchelf is missing (apt-get install patchelf).'
    export PATH=$PWD/node_modules/.bin:$PATH
    node -e "import('./infra/bundle.ts').then(({ bundleRunner }) => bundleRunner('.cache/runner'))"
    infra/runner-image/pack.sh .cache/runner .cache/errand
    pack=.cache/errand
  fi
  [ -f "$pack/bin/node" ] || die "$pack holds no bin/node: it is no packed runner."
  is_there storage buckets describe "gs://$bucket" ||
    gc storage buckets create "gs://$bucket" --location "$region" --uniform-bucket-level-access --public-access-prevention >&2
  gc storage buckets add-iam-policy-binding "gs://$bucket" \
    --member "serviceAccount:$jobs" --role roles/storage.objectViewer >/dev/null
  gc storage buckets add-iam-policy-binding "gs://$bucket" \
    --member "$(member "$name-prepare-target")" --role roles/storage.objectUser >/dev/null
  gc storage rsync --recursive "$pack" "gs://$bucket" >&2
fi

say 'Done. Put this into the targets of targets.json, and deploy with -c targets=targets.json:'
mounted=''
[ "$runner" = no ] || mounted="
    \"runnerBucket\": \"$bucket\","
cat <<JSON
{
  "name": "cloud-run",
  "provider": "cloud-run",
  "config": {
    "project": "$project",
    "region": "$region",
    "image": "$image",
    "serviceAccount": "$jobs",$mounted
    "workloadIdentity": {
      "audience": "//$pool/providers/aws",
      "serviceAccountEmail": "$starter"
    }
  }
}
JSON
