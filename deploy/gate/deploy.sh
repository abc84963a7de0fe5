#!/bin/sh
# Deploy one image, only past the gate, and only by digest.
#
#   deploy.sh registry.example/shop/api sha256:9c56… production
#
# Bundle and receipt are what `signer sign` kept for this environment; the trust file came from a trusted hand.
# SIGNER_URL and the client certificate let the gate record what it verified (grant: deploy).
set -eu

image=$1 digest=$2 environment=$3
folder=${RELEASES:-/var/lib/releases}/$environment/${digest#sha256:}

# The list says until when it counts; an old one refuses everything, so it is fetched each time.
curl --fail --silent --show-error --output "$folder/revocations.json" "$SIGNER_URL/v1/revocations" \
  --cacert "$SIGNER_CA" --cert "$SIGNER_CLIENT_CERT" --key "$SIGNER_CLIENT_KEY"

signer gate --trust "${SIGNER_TRUST:-/etc/signer/trust.json}" \
  --bundle "$folder/bundle.json" --receipt "$folder/receipt.json" --revocations "$folder/revocations.json" \
  --subject "$image@$digest" --policy "${POLICY:-shop}" --environment "$environment"

# Reached only when the gate exited 0.
kubectl --namespace "$environment" set image "deployment/$(basename "$image")" "*=$image@$digest"
