#!/usr/bin/env bash
# Prepares an Azure subscription, once, for a target on Container Instances of an installation on AWS: a resource group of
# its own, whom it trusts, and what they may do there. No key is made. Safe to run again. Prints the entry for targets.json.
#
#   infra/bootstrap/azure.sh --subscription ID --location westeurope --aws-account 123456789012 --stage production --image IMAGE
#
# Needs az, signed in as an owner of the subscription who may register applications, and aws, signed in to that account, for
# its issuer (or --issuer URL). Images are pulled by nobody in particular, so that anyone must be able to. IMAGE holds the
# runner at /errand (docs/runner.md); or --runner-image brings it, from an image that does.
set -euo pipefail

die() { echo "$*" >&2; exit 1; }
say() { echo "== $*" >&2; }
subscription='' location='' account='' stage=development group='' issuer='' image='' runner_image=''
while [ $# -gt 0 ]; do
  case $1 in
    --subscription) subscription=$2; shift 2 ;;
    --location) location=$2; shift 2 ;;
    --aws-account) account=$2; shift 2 ;;
    --stage) stage=$2; shift 2 ;;
    --resource-group) group=$2; shift 2 ;;
    --issuer) issuer=$2; shift 2 ;;
    --image) image=$2; shift 2 ;;
    --runner-image) runner_image=$2; shift 2 ;;
    *) die "Unknown: $1. See the head of $0." ;;
  esac
done
[ -n "$subscription" ] && [ -n "$location" ] && [ -n "$image" ] || die 'Give --subscription, --location and --image.'
[[ $account =~ ^[0-9]{12}$ ]] || die 'Give --aws-account: its 12 digits (aws sts get-caller-identity).'
[[ $stage =~ ^[a-z][a-z0-9-]{0,20}$ ]] || die 'The stage must be a short lower-case name.'
command -v az >/dev/null || die 'az is missing: https://learn.microsoft.com/cli/azure/install-azure-cli'

name=errand-$stage
group=${group:-$name}
azs() { az "$@" --subscription "$subscription" --only-show-errors; }

if [ -z "$issuer" ]; then
  say 'The issuer of the AWS account, which speaks for its roles'
  command -v aws >/dev/null || die 'aws is missing. Give --issuer, from: aws iam get-outbound-web-identity-federation-info'
  [ "$(aws sts get-caller-identity --query Account --output text)" = "$account" ] || die "aws is not signed in to $account."
  ask_issuer() { aws iam get-outbound-web-identity-federation-info --query IssuerIdentifier --output text 2>/dev/null; }
  if ! issuer=$(ask_issuer); then
    aws iam enable-outbound-web-identity-federation >/dev/null
    issuer=$(ask_issuer)
  fi
fi
[[ $issuer == https://* ]] || die "The issuer must be an https address, not '$issuer'."

say "The resource group $group, given to $name"
azs provider register --namespace Microsoft.ContainerInstance --wait
if owner=$(azs group show --name "$group" --query 'tags."errand-installation"' --output tsv 2>/dev/null); then
  [ "$owner" = "$name" ] || die "The resource group $group is there and not given to $name. Name another with --resource-group."
else
  azs group create --name "$group" --location "$location" --tags "errand-installation=$name" --output none
fi
scope=/subscriptions/$subscription/resourceGroups/$group

say 'What may be done there: container groups, and nothing else'
role="Errand $name"
definition=$(cat <<JSON
{
  "Name": "$role",
  "Description": "Starts, watches and removes container groups of $name.",
  "Actions": [
    "Microsoft.ContainerInstance/containerGroups/read",
    "Microsoft.ContainerInstance/containerGroups/write",
    "Microsoft.ContainerInstance/containerGroups/delete",
    "Microsoft.ContainerInstance/containerGroups/stop/action",
    "Microsoft.ContainerInstance/containerGroups/containers/logs/read",
    "Microsoft.Resources/subscriptions/resourceGroups/read"
  ],
  "AssignableScopes": ["$scope"]
}
JSON
)
verb=create
[ -z "$(azs role definition list --name "$role" --scope "$scope" --query '[].name' --output tsv)" ] || verb=update
azs role definition "$verb" --role-definition "$definition" --output none

say "Trust in three roles of the AWS account $account, and in no other"
# Of the functions that start, watch and remove commands.
app=$(az ad app list --display-name "$name" --query '[0].appId' --output tsv)
[ -n "$app" ] || app=$(az ad app create --display-name "$name" --query appId --output tsv)
az ad sp show --id "$app" --output none 2>/dev/null || az ad sp create --id "$app" --output none
for one in run-commands sweep prepare-target; do
  credential=$(cat <<JSON
{
  "name": "$name-$one",
  "issuer": "$issuer",
  "subject": "arn:aws:iam::$account:role/$name-$one",
  "audiences": ["api://AzureADTokenExchange"]
}
JSON
)
  own=(--id "$app" --federated-credential-id "$name-$one")
  if az ad app federated-credential show "${own[@]}" --output none 2>/dev/null; then
    az ad app federated-credential update "${own[@]}" --parameters "$credential" --output none
  else
    az ad app federated-credential create --id "$app" --parameters "$credential" --output none
  fi
done
principal=$(az ad sp show --id "$app" --query id --output tsv)
azs role assignment create --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal \
  --role "$role" --scope "$scope" --output none
tenant=$(azs account show --query tenantId --output tsv)

say 'Done. Put this into the targets of targets.json, and deploy with -c targets=targets.json:'
brought=''
[ -z "$runner_image" ] || brought="
    \"runnerImage\": \"$runner_image\","
[ -z "$runner_image" ] || [ "$runner_image" = "$image" ] || brought="$brought
    \"runner\": \"init\","
cat <<JSON
{
  "name": "azure-container-instances",
  "provider": "azure-container-instances",
  "config": {
    "subscriptionId": "$subscription",
    "resourceGroup": "$group",
    "location": "$location",
    "image": "$image",$brought
    "identity": { "tenantId": "$tenant", "clientId": "$app" }
  }
}
JSON
